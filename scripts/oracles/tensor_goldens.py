#!/usr/bin/env python3
"""Writes tests/data/verify/: what torch, safetensors and numpy say about tensors, for `galatea verify` and `diff`.

    miniature.tensors   digests of the miniature's base, taken from the Hugging Face shards and, joined and
                        permuted, from Meta's; both must agree before the list is written
    merged.tensors      the same of the merged model, payload XOR base
    diff_a.safetensors, diff_b.safetensors   pairs of tensors of every kind of difference
    diff.json           numpy's numbers for them, and for base against merged

The digest of a tensor: SHA-256 of b"galatea tensor digest v1\\0", dtype name and a zero, rank and extents as u64,
values row-major, all little-endian.  Needs numpy, torch, safetensors.  Usage: tensor_goldens.py [FILE.gguf]
With a GGUF file (galatea convert tests/data/miniature/base-hf FILE.gguf --to gguf) its tensors are checked against
the list as well (needs gguf).
"""
import hashlib
import io
import json
import pathlib
import struct
import sys

import numpy as np
import torch
from safetensors import numpy as stn

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests/data"
MINI, OUT = DATA / "miniature", DATA / "verify"
NAMES = {np.dtype("float16"): "F16", np.dtype("float32"): "F32", np.dtype("float64"): "F64",
         np.dtype("int32"): "I32", np.dtype("uint8"): "U8"}
HEADS, HEAD_DIM, LAYERS = 4, 64, 2


def digest(array):
    array = np.ascontiguousarray(array)
    sha = hashlib.sha256(b"galatea tensor digest v1\0" + NAMES[array.dtype].encode() + b"\0")
    sha.update(struct.pack("<Q", array.ndim) + b"".join(struct.pack("<Q", n) for n in array.shape))
    sha.update(array.tobytes())
    return sha.hexdigest()


def hf_names():
    names = ["model.embed_tokens.weight"]
    for layer in range(LAYERS):
        names += [f"model.layers.{layer}.{part}.weight" for part in
                  ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                   "mlp.down_proj", "mlp.up_proj", "input_layernorm", "post_attention_layernorm")]
    return names + ["model.norm.weight", "lm_head.weight"]


def listing(tensors):
    known = hf_names()
    lines = []
    for name in known + sorted(set(tensors) - set(known)):
        array = tensors[name]
        shape = "[" + ",".join(map(str, array.shape)) + "]"
        lines.append(f"{digest(array)}  {NAMES[array.dtype]}  {shape}  {name}\n")
    weights = hashlib.sha256("".join(lines[:len(known)]).encode()).hexdigest()
    return "# galatea tensor digests v1\n" + "".join(lines) + f"# weights: {weights}\n"


def load_hf(read):
    tensors = {}
    for n in (1, 2, 3):
        shard = torch.load(io.BytesIO(read(f"pytorch_model-0000{n}-of-00003.bin")), map_location="cpu")
        tensors.update({name: tensor.numpy() for name, tensor in shard.items()})
    return tensors


def merged_bytes(name):
    payload, base = (MINI / "payload" / name).read_bytes(), (MINI / "base-hf" / name).read_bytes()
    repeated = (base * (len(payload) // len(base) + 1))[:len(payload)]
    return (np.frombuffer(payload, np.uint8) ^ np.frombuffer(repeated, np.uint8)).tobytes()


def half_split(array):
    """Rows of q, k: pairs (2i, 2i+1) of a head become (i, i + HEAD_DIM/2)."""
    return array.reshape(HEADS, HEAD_DIM // 2, 2, -1).transpose(0, 2, 1, 3).reshape(array.shape)


def load_meta():
    shards = [torch.load(MINI / f"meta/consolidated.0{n}.pth", map_location="cpu") for n in (0, 1)]
    meta = ["tok_embeddings.weight"]
    for layer in range(LAYERS):
        meta += [f"layers.{layer}.{part}.weight" for part in
                 ("attention.wq", "attention.wk", "attention.wv", "attention.wo", "feed_forward.w1", "feed_forward.w2",
                  "feed_forward.w3", "attention_norm", "ffn_norm")]
    tensors = {}
    for name, hf in zip(meta + ["norm.weight", "output.weight"], hf_names()):
        parts = [shard[name].numpy() for shard in shards]
        if "norm" in name:
            tensors[hf] = parts[0]
            continue
        across = any(part in name for part in ("tok_embeddings", "wo.", "w2."))
        joined = np.concatenate(parts, axis=1 if across else 0)
        tensors[hf] = half_split(joined) if ".wq." in name or ".wk." in name else joined
    return tensors


def check_gguf(path, base):
    from gguf import GGUFReader
    gguf = ["token_embd"]
    for layer in range(LAYERS):
        gguf += [f"blk.{layer}.{part}" for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down",
                                                   "ffn_up", "attn_norm", "ffn_norm")]
    names = dict(zip((name + ".weight" for name in gguf + ["output_norm", "output"]), hf_names()))
    for tensor in GGUFReader(path).tensors:
        hf = names.pop(tensor.name)
        array = tensor.data.reshape([int(n) for n in reversed(tensor.shape)])
        array = half_split(array) if "attn_q." in tensor.name or "attn_k." in tensor.name else array
        assert digest(array.astype(base[hf].dtype)) == digest(base[hf]), tensor.name
    assert not names, names


def numbers(a, b):
    """What `galatea diff` says about two tensors of one shape."""
    wide = np.float64
    x, y = a.astype(wide).ravel(), b.astype(wide).ravel()
    same = x.view(np.uint64) == y.view(np.uint64)
    if a.dtype == b.dtype:
        width = {2: np.uint16, 4: np.uint32, 8: np.uint64, 1: np.uint8}[a.dtype.itemsize]
        same = a.ravel().view(width) == b.ravel().view(width)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    d = x - y
    count = max(len(x), 1)
    norms = np.sqrt(np.sum(x * x)) * np.sqrt(np.sum(y * y))
    return {"values": int(a.size), "differing": int((~same).sum()), "not_finite": int((~finite & ~same).sum()),
            "first": int(np.argmax(~same)) if (~same).any() else None,
            "max_abs": float(np.max(np.abs(d))) if len(d) else 0.0, "rms": float(np.sqrt(np.sum(d * d) / count)),
            "rms_a": float(np.sqrt(np.sum(x * x) / count)),
            "cosine": float(np.sum(x * y) / norms) if norms > 0 else None}


def diff_pairs():
    random = np.random.default_rng(20230522)
    a, b = {}, {}
    for name, dtype in (("half", np.float16), ("single", np.float32), ("double", np.float64)):
        a[name] = random.normal(size=(37, 129)).astype(dtype)
        b[name] = (a[name] + random.normal(scale=0.01, size=a[name].shape).astype(dtype)).astype(dtype)
    a["ints"] = random.integers(-2**30, 2**30, size=1000, dtype=np.int32)
    b["ints"] = a["ints"] + (np.arange(1000, dtype=np.int32) % 7 == 0)
    a["one_value"] = random.normal(size=(64, 64)).astype(np.float16)
    b["one_value"] = a["one_value"].copy()
    b["one_value"][41, 7] += np.float16(0.5)
    a["same"] = b["same"] = random.normal(size=(16, 16)).astype(np.float32)
    a["other_type"] = random.normal(size=(16, 16)).astype(np.float16)
    b["other_type"] = a["other_type"].astype(np.float32)
    a["rounded"] = random.normal(size=(50, 50)).astype(np.float32)
    b["rounded"] = a["rounded"].astype(np.float16)
    special = np.array([np.nan, np.nan, np.inf, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    other = np.array([np.nan, 1.0, np.inf, -np.inf, 5.0, -0.0, -0.0, 1.0, np.nan, 3.5], dtype=np.float32)
    a["special"], b["special"] = special, other
    a["zeros"], b["zeros"] = np.zeros(8, np.float32), np.ones(8, np.float32)
    a["shape"], b["shape"] = np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)
    a["only_a"], b["only_b"] = np.ones(3, np.float32), np.ones(4, np.float32)
    return a, b


def main():
    OUT.mkdir(exist_ok=True)
    base = load_hf(lambda name: (MINI / "base-hf" / name).read_bytes())
    merged = load_hf(merged_bytes)
    meta = load_meta()
    for name in hf_names():
        assert digest(meta[name]) == digest(base[name]), name
    (OUT / "miniature.tensors").write_text(listing(base))
    (OUT / "merged.tensors").write_text(listing(merged))
    if len(sys.argv) > 1:
        check_gguf(sys.argv[1], base)
    a, b = diff_pairs()
    stn.save_file(a, OUT / "diff_a.safetensors")
    stn.save_file(b, OUT / "diff_b.safetensors")
    pairs = {name: numbers(a[name], b[name]) for name in a if name in b and a[name].shape == b[name].shape}
    model = {name: numbers(base[name], merged[name]) for name in base}
    (OUT / "diff.json").write_text(json.dumps({"pairs": pairs, "miniature": model}, indent=1) + "\n")


if __name__ == "__main__":
    main()
