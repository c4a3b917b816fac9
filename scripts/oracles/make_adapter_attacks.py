"""Writes the hostile adapter configurations of tests/attacks/adapters/ and their README.

Usage: make_adapter_attacks.py [FOLDER]
Each stands in the place of the adapter_config.json of the miniature release.
"""
import json
import pathlib
import sys

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/attacks/adapters"
GOOD = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": None}

# what is put over GOOD (a text stands for the whole file), what it tries, what the error says
ATTACKS = {
    "rank_zero": ({"r": 0}, "divides by the rank", "adapter's r makes no sense"),
    "rank_of_10_to_12": ({"r": 10**12}, "wants matrices of terabytes", "adapter's r makes no sense"),
    "rank_negative": ({"rank_pattern": {"q_proj": -8}}, "a negative rank for some modules", "rank_pattern makes no sense"),
    "alpha_nan": ('{"r": 8, "lora_alpha": NaN}', "makes every weight NaN", "JSON"),
    "alpha_infinite": ('{"r": 8, "lora_alpha": 1e999}', "makes every weight infinite", "at byte"),
    "alpha_overflows": ({"lora_alpha": 1e300}, "finite, but not in the weights' type", "not finite"),
    "same_key_twice": ('{"r": 8, "r": 4, "lora_alpha": 16}', "one name, two values", "twice"),
    "pattern_backtracks": ({"target_modules": "(.*.*)*(.*)*(.*)*x"}, "makes backtracking matchers run for years",
                           "not of target_modules"),
    "pattern_of_10_to_9": ({"alpha_pattern": {"(((a{1000}){1000}){1000})": 1}}, "unfolds to 10^9 steps", "it is too large"),
    "patterns_many": ({"alpha_pattern": {f"a{{9999}}{i}": 1 for i in range(100)}}, "many large patterns", "too large together"),
    "pattern_nested": ({"target_modules": "(" * 5000 + ")" * 5000}, "nests 5,000 groups to exhaust the stack", "nested too deeply"),
    "layers_without_end": ({"layer_replication": [[0, 2]] * 5001}, "a model of 10,002 layers", "too many layers"),
    "layers_out_of_range": ({"layer_replication": [[0, 90000]]}, "copies layers that are not there", "does not have"),
    "slices_many": ({"enable_lora": [True] + [False] * 1000}, "an output of 1,001 slices", "enable_lora makes no sense"),
    "groups_of_10_to_12": ({"use_qalora": True, "qalora_group_size": 10**12}, "widens matrices to terabytes",
                           "qalora_group_size makes no sense"),
    "name_draws_on_the_terminal": ({"\x1b[2Jx": 1}, "clears the screen of who reads the error", "\\x1b[2Jx"),
}


def main(folder=DEFAULT):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Hostile adapters", "",
             "Made by `scripts/oracles/make_adapter_attacks.py`: each is read as the adapter_config.json of the miniature's",
             "adapter. It must be refused with exit code 3, at once, and the error must contain the words of the last column",
             "(`tests/converter/lora_attacks_test.cpp` reads this table).", "",
             "| file | tries | the error says |", "|---|---|---|"]
    for number, (name, (change, tries, answer)) in enumerate(ATTACKS.items(), 47):
        file = f"{number}_{name}.json"
        text = change if isinstance(change, str) else json.dumps({**GOOD, **change}, separators=(",", ":"))
        (folder / file).write_text(text + "\n")
        lines.append(f"| {file} | {tries} | `{answer}` |")
    (folder / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
