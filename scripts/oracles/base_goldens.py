"""Writes tests/data/base/digests.json: SHA-256 of what transformers' own converter makes of small Meta folders.

Usage: base_goldens.py [FILE]     (torch 1.13.1, transformers 4.28.1, accelerate 0.18)

Meta folders of 1, 2, 4 and 8 shards whose weights follow from a formula, so that a test can make the same ones
without Python; each converted with shards of 10 GB and of 3 MB (where the embedding alone is larger than a
shard). Weights, index, config.json and generation_config.json; the tokenizer's files are tested elsewhere.
"""
import hashlib
import json
import math
import pathlib
import sys
import tempfile

import numpy
import torch

import check_base

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/base/digests.json"
DIM, HEADS, LAYERS, VOCAB = check_base.DIM, check_base.HEADS, check_base.LAYERS, check_base.VOCAB


class Values:
    """Tensors one after another; value i of tensor t of shard s is a hash of the three."""

    def __init__(self, shard):
        self.shard, self.tensors = shard, 0

    def __call__(self, *shape):
        count = math.prod(shape)
        x = (numpy.arange(count, dtype=numpy.uint64) * 2654435761 + self.tensors * 40503 + self.shard * 69069 + 12345)
        x = (x % 2**32) >> numpy.uint64(16)
        self.tensors += 1
        values = (x.astype(numpy.int64) % 2001 - 1000).astype(numpy.float32) / 16384
        return torch.from_numpy(values).half().reshape(shape)


def write_meta(folder, shards):
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({
        "dim": DIM, "multiple_of": 256, "n_heads": HEADS, "n_layers": LAYERS, "norm_eps": 1e-06, "vocab_size": -1}))
    inner = (math.ceil(DIM * 8 / 3) + 255) // 256 * 256
    for shard in range(shards):
        values, same = Values(shard), Values(100)
        state = {"tok_embeddings.weight": values(VOCAB, DIM // shards), "norm.weight": same(DIM),
                 "output.weight": values(VOCAB // shards, DIM)}
        for i in range(LAYERS):
            layer = f"layers.{i}."
            for name in ("wq", "wk", "wv"):
                state[layer + f"attention.{name}.weight"] = values(DIM // shards, DIM)
            state[layer + "attention.wo.weight"] = values(DIM, DIM // shards)
            state[layer + "feed_forward.w1.weight"] = values(inner // shards, DIM)
            state[layer + "feed_forward.w2.weight"] = values(DIM, inner // shards)
            state[layer + "feed_forward.w3.weight"] = values(inner // shards, DIM)
            state[layer + "attention_norm.weight"] = same(DIM)
            state[layer + "ffn_norm.weight"] = same(DIM)
        state["rope.freqs"] = torch.zeros(DIM // HEADS // 2)
        torch.save(state, folder / f"consolidated.{shard:02d}.pth")


def main():
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    digests = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "no_tokenizer").mkdir()
        for size, shards in check_base.SIZES.items():
            write_meta(folder / "meta" / size, shards)
            for limit in ("10GB", "3MB"):
                out = folder / "out" / size / limit
                check_base.convert(folder / "meta" / size, size, folder / "no_tokenizer", out, limit)
                digests.setdefault(str(shards), {})[limit] = {
                    p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.iterdir())}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
