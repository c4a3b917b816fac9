#!/usr/bin/env python3
"""Small valid files to begin fuzzing with, for the readers of which tests/data has none: tests/fuzz/seeds.

usage: make_fuzz_seeds.py OUT_FOLDER

Written from the descriptions of the formats alone; needs nothing but Python. The same bytes on every run.
"""

import gzip
import json
import pathlib
import struct
import sys
import zlib

out = pathlib.Path(sys.argv[1])


def seed(target: str, name: str, data: bytes) -> None:
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def journal(magic: bytes, bodies: list) -> bytes:
    data, crc = magic, 0
    for body in bodies:
        crc = zlib.crc32(body, crc)
        data += struct.pack("<II", len(body), crc) + body
    return data


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


# format/plan_journal.h
digest = "ab" * 32
plan = b"\1" + text("job") + text("identity") + struct.pack("<I", 2) + text("a.bin") + text("b.bin")
marks = [b"\3" + struct.pack("<IQ", 0, end) + text(digest) + text("tally") for end in (4096, 8192)]
back = b"\2" + struct.pack("<IQ", 0, 4096)
whole = b"\4" + struct.pack("<IQqI", 1, 99, 1_700_000_000, 1) + b"\2" + text(digest) + text("")
seed("plan_journal", "whole", journal(b"GALJRNL1", [plan, *marks, back, whole]))
seed("plan_journal", "begun", journal(b"GALJRNL1", [plan]))

# eval/score_journal.h; the target opens it as the run "fuzz".
windows = [struct.pack("<QQdd", i, 2047, 2.5, 7.0) + b"kept" for i in range(3)]
seed("score_journal", "three", journal(b"GALSCOR1", [b"fuzz", *windows]))

# format/llama2c.h
dim, hidden, layers, heads, kv, vocab, context = 8, 16, 2, 2, 1, 12, 4
kv_dim = dim // heads * kv
floats = vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * kv_dim * dim + 3 * dim * hidden) + dim + context * dim // heads
seed("llama2c", "tied.bin", struct.pack("<7i", dim, hidden, layers, heads, kv, vocab, context) + b"\0\0\x80\x3f" * floats)
untied = struct.pack("<7i", dim, hidden, layers, heads, kv, -vocab, context) + b"\0\0\x80\x3f" * (floats + vocab * dim)
seed("llama2c", "untied.bin", untied)

# Expressions of target_modules and --tensor-type, a line, and what they are tried on.
for number, (pattern, tried) in enumerate([
    (r".*\.(q|v)_proj", "model.layers.0.self_attn.q_proj"),
    (r"(a|a)*b", "aaaaaaaaaaaaaaaaaaaaaaaa"),
    (r"^blk\.([0-9]|1[0-5])\.attn_[qk]\.weight$", "blk.12.attn_q.weight"),
    (r"(?:x{2,3}|\d+\w*?)(?=y)(?!z)\b", "xxy 12"),
    (r"[^\]a-f\-]+[]]", "ghi]"),
]):
    seed("pattern", str(number), f"{pattern}\n{tried}".encode())


def safetensors(tensors: dict) -> bytes:
    header, data = {}, b""
    for name, shape in tensors.items():
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + data


# Names of kohya's trainer, and of PEFT.
module = "lora_te_model_layers_0_self_attn_q_proj"
seed("adapter_safetensors", "kohya", safetensors({
    f"{module}.lora_down.weight": [2, 8], f"{module}.lora_up.weight": [8, 2], f"{module}.alpha": []}))


def ggla() -> bytes:
    data = b"algg" + struct.pack("<Iii", 1, 2, 4)
    for name, extents in (("layers.0.attention.wq.weight.loraA", (2, 8)), ("layers.0.attention.wq.weight.loraB", (2, 8))):
        data += struct.pack("<3i2i", 2, len(name), 0, *extents) + name.encode()
        data += bytes(-len(data) % 32) + bytes(4 * extents[0] * extents[1])
    return data


seed("adapter_file", "ggla", ggla())
for target in ("payload", "corpus_lines"):
    seed(target, "text.gz", gzip.compress(b"one line\nand another\n" * 20, mtime=0))
seed("payload", "raw.zst", bytes.fromhex("28b52ffd2005290000") + b"hello")
seed("corpus_lines", "c4.jsonl", b'{"text": "one\\ntwo \\ud83d\\ude00"}\n{"text": ""}\n')
seed("lfs_pointer", "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + digest.encode() + b"\nsize 99\n")
seed("manifest", "bsd", b"SHA256 (a.bin) = " + digest.encode() + b"\nMD5 (b.bin) = " + b"cd" * 16 + b"\n")
seed("manifest", "rhash", b"; generated\na.bin " + digest.encode() + b"\n")
