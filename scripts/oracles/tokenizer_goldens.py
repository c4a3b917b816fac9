"""Writes tests/data/tokenizer/rules.json: what the slow LlamaTokenizer of transformers 4.28 makes of special tokens
under the tokenizer files that checkpoints come with; or rules_legacy_false.json: the same with "legacy": false in
tokenizer_config.json, which transformers honours since 4.31 and as it does today since 4.34.

Usage: tokenizer_goldens.py                  (needs tests/data/miniature/meta/tokenizer.model, in the environment of setup.sh)
       tokenizer_goldens.py --legacy-false   (transformers==4.45.2)
"""
import json
import pathlib
import shutil
import sys
import tempfile

from transformers import LlamaTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/data/miniature/meta/tokenizer.model"
OUT = ROOT / "tests/data/tokenizer"

CLASS = {"tokenizer_class": "LlamaTokenizer"}
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def added(content, lstrip=False, rstrip=False):
    return {"content": content, "lstrip": lstrip, "rstrip": rstrip, "normalized": True, "single_word": False}


CASES = {
    "no files": {},
    "empty map": {"special_tokens_map.json": {}},
    "names empty, as in the first conversions": {
        "tokenizer_config.json": {**CLASS, "bos_token": "", "eos_token": "", "unk_token": ""},
        "special_tokens_map.json": {}},
    "map of texts": {"special_tokens_map.json": NAMES},
    "map of objects": {"special_tokens_map.json": {k: added(v) for k, v in NAMES.items()}},
    "configuration of texts": {"tokenizer_config.json": {**CLASS, **NAMES}},
    "configuration of objects": {
        "tokenizer_config.json": {**CLASS, "unk_token": {"__type": "AddedToken", **added("<unk>", lstrip=True)}}},
    "map wins over configuration": {
        "tokenizer_config.json": {**CLASS, **NAMES},
        "special_tokens_map.json": {"unk_token": added("<unk>", rstrip=True), "eos_token": "</s>"}},
    "padding named in the map": {"special_tokens_map.json": {"pad_token": "<pad>"}},
    "padding named in the configuration": {"tokenizer_config.json": {**CLASS, "pad_token": "<pad>"}},
    "padding is the unknown token": {"special_tokens_map.json": {"pad_token": "<unk>"}},
    "padding added": {"added_tokens.json": {"<pad>": 512}},
    "padding added and named": {"added_tokens.json": {"<pad>": 512}, "special_tokens_map.json": {"pad_token": added("<pad>")}},
    "several added": {"added_tokens.json": {"<|user|>": 512, "<|model|>": 513, "<|user|>!": 514}},
    "additional": {"special_tokens_map.json": {"additional_special_tokens": ["<|user|>", added("<|model|>"), "<pad>"]}},
    "bos and eos around": {"tokenizer_config.json": {**CLASS, "add_bos_token": False, "add_eos_token": True}},
    "eos is another token": {"special_tokens_map.json": {"eos_token": "the"}},
    "null padding": {"tokenizer_config.json": {**CLASS, "pad_token": None}},
}
LATER = {"added in the configuration": {"tokenizer_config.json": {**CLASS, "added_tokens_decoder": {
    "0": {**added("<unk>"), "special": True}, "1": {**added("<s>"), "special": True}, "2": {**added("</s>"), "special": True},
    "512": {**added("<|user|>"), "normalized": False, "special": True},
    "513": {**added("<|model|>", rstrip=True), "normalized": False, "special": False}}}}}
STRINGS = [
    "", " ", "plain text", "a <unk> the<s>b </s>", "<unk><unk> <unk>", "x <pad> y", " <pad>", "hi<|user|> ho <|model|>",
    "<|user|>!", "<|user|><|model|> <unk>", "the <unk>\n\n the \t<unk>\u00a0the", "\u3000<unk>\u2028<unk>", "<<unk>>", "<s",
    "no <unk> N <unk> it", "<unk>", " <unk> ", "</s>the</s> the ", "b\u2581<unk>\u2581b", "<unk>\x1c<unk>\x1fb",
]


def main():
    legacy = "--legacy-false" not in sys.argv
    out = []
    for name, files in CASES.items() if legacy else {**CASES, **LATER}.items():
        if not legacy:
            configuration = files.get("tokenizer_config.json", CLASS)
            files = {**files, "tokenizer_config.json": {**configuration, "legacy": False}}
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(MODEL, folder)
            for file, content in files.items():
                (pathlib.Path(folder) / file).write_text(json.dumps(content))
            tokenizer = LlamaTokenizer.from_pretrained(folder)
            ids = [tokenizer(text).input_ids for text in STRINGS]
            out.append({"name": name, "files": files, "ids": ids})
    OUT.mkdir(parents=True, exist_ok=True)
    document = {"texts": STRINGS, "cases": out}
    (OUT / ("rules.json" if legacy else "rules_legacy_false.json")).write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
