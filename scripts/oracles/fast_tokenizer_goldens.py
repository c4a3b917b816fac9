"""Small tokenizer.json files of each kind that galatea reads, and what Hugging Face's tokenizers makes of hostile text
with them.

Usage: fast_tokenizer_goldens.py   (needs tokenizers==0.21.0; 0.13.3, transformers' of April 2023, gives the same
for the files that it can read: `--check` compares without writing)
Writes tests/data/tokenizer/fast/*.json.
"""
import hashlib
import json
import pathlib
import struct
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINIATURE = ROOT / "tests" / "data" / "miniature"
OUT = ROOT / "tests" / "data" / "tokenizer" / "fast"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")

TEXTS = [
    "", " ", "  ", "\n", "\r\n\r\n", "\t x", "a", " a", "a ", "plain text of words", "  two  spaces   three    four",
    "It's we'll I'D 'S 's don't", "1234567890 3.14 \u0664\u0665\u0666 \u2167 \u00bd x1y22z333", "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m",
    "e\u0301 a\u0308 combining", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd", "\U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467 \U0001F1E9\U0001F1EA!",
    "nul \0 in the middle\0", "\x01\x02\x1b[31m\x7f\x80\x9f", "\u0085next\u00a0line\u2028para\u2029\u3000wide\u180evowel\u200bzero\x1cfs\x1f",
    "<unk> <s>bos</s> <|begin|><|begin|> x<|end|>y <s", "a<|strip|>b  <|strip|>  c", "\u2581a \u2581\u2581 b\u2581", "<0x41> <0x0A>",
    "word" * 50, " " * 50, "\n" * 20 + " x", "!!!...???---\n\n!?", "\ufeffbom \ufffd \ufffe \U0010FFFF", "tab\tand\x0bvertical\x0c",
    "the the The THE tHe", "def f(x):\n    return x ** 2  # comment\n\n\n", "_under_score-hyphen/slash\\back", "\u0130stanbul \u0131 \u212a K",
]
LONG = [("a", 10_000_000), ("ab ", 300_000), (" ", 1_000_000), ("\u4f60", 300_000)]


def corpus():
    for name in ("wiki.test.raw", "ptb.test.txt"):
        yield from (MINIATURE / "corpora" / name).read_text(encoding="utf-8").splitlines()


def byte_level(pre_tokenizer, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def llama():
    return json.loads((MINIATURE / "base-hf" / "tokenizer.json").read_text())


def make():
    special = ["<|begin|>", "<|end|>"]
    gpt2 = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), special)
    gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
    gpt2.add_special_tokens([AddedToken("<|strip|>", lstrip=True, rstrip=True, normalized=False)])
    yield "gpt2", json.loads(gpt2.to_str())
    prefix = json.loads(gpt2.to_str())
    prefix["pre_tokenizer"]["add_prefix_space"] = True
    yield "gpt2-prefix", prefix
    words = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    llama3 = byte_level(words, special)
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin|>:0 $A:0 <|end|>:0", pair="<|begin|>:0 $A:0 <|begin|>:1 $B:1",
                                      special_tokens=[("<|begin|>", 0), ("<|end|>", 1)])])
    document = json.loads(llama3.to_str())
    document["model"]["ignore_merges"] = True
    # Words that only ignore_merges finds: in the vocabulary, but no merges lead there.
    for word in ("\u0120reachable", "zzz"):
        document["model"]["vocab"][word] = len(document["model"]["vocab"])
    yield "llama3", document
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                      pre_tokenizers.ByteLevel(add_prefix_space=False)])
    yield "smollm", json.loads(byte_level(digits, special).to_str())
    yield "llama-normalized", llama()  # as transformers of 2023 wrote it: the added tokens are normalized too
    plain = llama()
    for token in plain["added_tokens"]:
        token["normalized"] = False
    yield "llama", plain
    first = llama()
    for token in first["added_tokens"]:
        token["normalized"] = False
    first["normalizer"] = None
    first["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    yield "llama-metaspace", first
    always = dict(first, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True})
    yield "llama-metaspace-split", always


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


def encode(tokenizer, text):
    return tokenizer.encode(text).ids


def main():
    check = "--check" in sys.argv
    OUT.mkdir(parents=True, exist_ok=True)
    texts = TEXTS + ["un reachable reachable zzz zzzz"]
    for name, document in (make() if not check else []):
        tokenizer = Tokenizer.from_str(json.dumps(document))
        golden = {"texts": texts, "ids": [encode(tokenizer, text) for text in texts], "long": []}
        for piece, count in LONG:
            ids = encode(tokenizer, piece * count)
            golden["long"].append({"piece": piece, "count": count, "tokens": len(ids), "sha256": digest(ids)})
        (OUT / f"{name}.tokenizer.json").write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=True) + "\n")
        (OUT / f"{name}.golden.json").write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=True) + "\n")
    if check:
        for path in sorted(OUT.glob("*.golden.json")):
            try:
                tokenizer = Tokenizer.from_file(str(path).replace(".golden.", ".tokenizer."))
            except Exception as error:  # an older version does not know a field
                print(path.name, "not read:", error)
                continue
            golden = json.loads(path.read_text())
            different = [t for t, ids in zip(golden["texts"], golden["ids"]) if encode(tokenizer, t) != ids]
            print(path.name, "same" if not different else different, "by", tokenizers.__version__)


if __name__ == "__main__":
    main()
