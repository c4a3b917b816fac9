"""Writes the hostile adapters of tests/attacks/adapters/ and their README.

Usage: make_adapter_attacks.py [FOLDER]
A .json stands in the place of the adapter_config.json of the miniature release, a .safetensors in that of its weights.
"""
import json
import pathlib
import struct
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

Q = "base_model.model.model.layers.0.self_attn.q_proj"


def pair(module, down, up, value=0.0):
    """A and B of a module, all values alike, as a safetensors file."""
    return weights({module + ".lora_A.weight": (down, None), module + ".lora_B.weight": (up, None)}, value)


def weights(tensors, value=0.0):
    """name: (shape, bytes of data that the header claims; None for as many as the shape needs)"""
    header, at = {}, 0
    for name, (shape, size) in tensors.items():
        size = 4 * shape[0] * shape[1] if size is None else size
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + struct.pack("<f", value) * (at // 4)


# the file, what it tries, what the error says
WEIGHTS = {
    "shapes_of_another_model": (pair(Q, [8, 3], [5, 8]), "matrices that do not fit the weight", "do not fit the weight they change"),
    "shapes_that_disagree": (pair(Q, [8, 256], [256, 4]), "A and B of different ranks", "not of the rank"),
    "matrices_of_rank_zero": (pair(Q, [0, 256], [256, 0]), "matrices without rows", "not of the rank"),
    "shape_of_10_to_12": (weights({Q + ".lora_A.weight": ([10**12, 8], 64), Q + ".lora_B.weight": ([256, 8], None)}),
                          "wants 32 terabytes for 64 bytes", "64"),
    "shape_of_10_to_24": (weights({Q + ".lora_A.weight": ([10**12, 10**12], 64)}), "10^24 values, which overflow", "64 bits"),
    "name_with_path_separators": (pair("base_model.model.../../../../etc/passwd", [8, 256], [256, 8]),
                                  "a name that leads out of the folder", "../../../../etc/passwd"),
    "values_nan": (pair(Q, [8, 256], [256, 8], float("nan")), "makes a weight NaN", "model.layers.0.self_attn.q_proj.weight"),
    "values_overflow": (pair(Q, [8, 256], [256, 8], 1e30), "finite, but not their product", "not finite"),
}


def main(folder=DEFAULT):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Hostile adapters", "",
             "Made by `scripts/oracles/make_adapter_attacks.py`: each is read as the adapter_config.json of the miniature's",
             "adapter, or as its weights. It must be refused with exit code 3, at once, and the error must contain the words of the last column",
             "(`tests/converter/lora_attacks_test.cpp` reads this table).", "",
             "| file | tries | the error says |", "|---|---|---|"]
    for number, (name, (change, tries, answer)) in enumerate(ATTACKS.items(), 47):
        file = f"{number}_{name}.json"
        text = change if isinstance(change, str) else json.dumps({**GOOD, **change}, separators=(",", ":"))
        (folder / file).write_text(text + "\n")
        lines.append(f"| {file} | {tries} | `{answer}` |")
    for number, (name, (data, tries, answer)) in enumerate(WEIGHTS.items(), 47 + len(ATTACKS)):
        file = f"{number}_{name}.safetensors"
        (folder / file).write_bytes(data)
        lines.append(f"| {file} | {tries} | `{answer}` |")
    (folder / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
