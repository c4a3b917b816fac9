"""Writes golden/: logits of transformers in float32, and token ids of the slow tokenizer for awkward strings.

The token samples of LLaMA's own tokenizer.model are written when LLAMA_TOKENIZER names that file; else those in
golden/tokens.json are kept.
"""
import json
import os
import pathlib
import shutil
import tempfile

import torch
from transformers import LlamaTokenizer

import paths
import score

POSITIONS = list(range(16)) + [63]
PLAIN_SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
STRINGS = [
    "", " ", "  ", "   ", "    ", "a", " a", "a ", "  a  b   c    ", "Hello world", "hello  world",
    "\n", "\n\n", "\n \n", "a\nb", "a \n b", "\r\n", "a\r\nb", "\t", "a\tb", "\t\t  \t", "\v\f",
    "0", "1234567890", "3.14159", "1,000,000", "-17", "In 1611 there were 80 books", "\u0663\u0664", "\u00bd\u00b2",
    "\U0001f600", "a\U0001f468\u200d\U0001f469\u200d\U0001f467b", "\U0001f1ee\U0001f1f8", "\u4f60\u597d\u4e16\u754c", "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8", "\ud55c\uad6d\uc5b4",
    "\u0417\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd",
    "caf\u00e9", "cafe\u0301", "\u00c5 \u212b A\u030a", "\ufb01ne", "\u00a0", "a\u00a0b", "\u3000", "\u2581", "a\u2581b", "\u2581\u2581 \u2581", "\ufeffa", "\u200b",
    "\x00", "a\x00b", "\x01\x02\x1f\x7f", "\x80", "\ufffd", "\u2047", " \u2047 ",
    "<unk>", " <unk>", "<unk> ", " <unk> ", "a <unk> b", "a<unk>b", "<unk> <unk>", "<unk><unk>", "<unk>  <unk>",
    "a <unk> <unk> b", "no <unk>\n<unk> it", "<unk>\n", "\n<unk>", "<s></s>", "<s> a </s>", "</s> ", "a</s>b <s> c",
    "<s>", "<pad>", "<UNK>", "<unk", "unk>", "< unk >", "<<unk>>", "<0x0A>", "<0x41>",
    "<|system|>Enter assistant mode.<|user|>Hi<|model|>", "You: hello\n[Bob]: hi\n<START>",
    "don't", "it's 's", "--", "...", "?!", "http://example.org/?q=a&b=c", "<>&\"'", "\\n", "{\"a\": [1, 2]}",
    "aaaaaaaaaaaaaaaa", "AAAA", "the the the", "The LORD God", " " * 17, "=" * 20, "ab" * 150, "x" * 300,
    "antidisestablishmentarianism", " = Title = \n", "\n\n = Title = \n\n\n\n\n Text of it", " ,  , ", "it N <unk> 's $ N",
]


@torch.no_grad()
def logits(folder, ids):
    return score.load(folder)(ids[None], use_cache=False).logits[0, POSITIONS]


def write_logits(name, folder, ids, out):
    values = logits(folder, ids)
    (paths.GOLDEN / f"logits.{name}.f32").write_bytes(values.contiguous().numpy().tobytes())
    out[name] = {"file": f"logits.{name}.f32", "shape": list(values.shape)}


def checkpoint_tokenizer(model_file, strip):
    """A tokenizer read back from a checkpoint whose special_tokens_map.json has plain strings, or AddedToken dicts."""
    with tempfile.TemporaryDirectory() as folder:
        LlamaTokenizer(str(model_file)).save_pretrained(folder)
        special = pathlib.Path(folder) / "special_tokens_map.json"
        if strip:
            special.write_text(json.dumps(PLAIN_SPECIALS))
        assert all(isinstance(v, str) == strip for v in json.loads(special.read_text()).values())
        return LlamaTokenizer.from_pretrained(folder)


def token_samples(model_file):
    out = {}
    for name, strip in (("no_strip", False), ("strip", True)):
        tokenizer = checkpoint_tokenizer(model_file, strip)
        out[name] = [{"text": s, "ids": tokenizer(s).input_ids} for s in STRINGS]
    return out


def run():
    torch.set_num_threads(1)
    paths.GOLDEN.mkdir(parents=True, exist_ok=True)
    tokenizer = score.load_tokenizer(paths.BASE)
    ids = score.stream_ids("wikitext2", paths.CORPORA, tokenizer, paths.CONTEXT)
    ids = ids[:64]
    index = {"dtype": "float32, little-endian", "positions": POSITIONS, "ids": ids.tolist(), "models": {}}
    write_logits("base", paths.BASE, ids, index["models"])
    write_logits("merged", paths.MERGED, ids, index["models"])
    (paths.GOLDEN / "logits.json").write_text(json.dumps(index) + "\n")

    file = paths.GOLDEN / "tokens.json"
    samples = {"note": "ids as the tokenizer returns them, with BOS first",
               "miniature": token_samples(paths.META / "tokenizer.model")}
    if os.environ.get("LLAMA_TOKENIZER"):
        samples["llama"] = token_samples(os.environ["LLAMA_TOKENIZER"])
    elif file.exists():
        samples["llama"] = json.loads(file.read_text())["llama"]
    file.write_text(json.dumps(samples, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    run()
