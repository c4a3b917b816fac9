#!/usr/bin/env python3
"""Writes tests/data/ggml/: small LLaMAs as the converters and quantizers of llama.cpp of spring 2023 wrote them, and
what the ggml of the time decodes from their tensors.

    NAME.bin, NAME.bin.1   a model of one layer, vocabulary of the miniature release; GGML and GGMF in two parts
    digests.txt            for each tensor of each model: SHA-256 of its float32 values, whole (parts joined)

Usage: make_ggml_samples.py OUT_FOLDER TOKENIZER.model PEERS

PEERS is a folder with one folder for each generation (below), each an old llama.cpp as it was: its converter
convert-pth-to-ggml.py (for GGJT that of 9733104b^, the last that read params.json), its `quantize` program as q, its ggml.c as a shared library libdecode.so built for
a plain x86-64 without contraction (-ffp-contract=off), with its dequantize_row_* visible. Needs torch, numpy,
sentencepiece.
"""
import ctypes
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

# folder, commit of llama.cpp, what is written: model, width, parts and type by its number for `quantize`
GENERATIONS = [
    ("ggml0", "5cb63e24", [("ggml-q4_0", 64, 2, 2)]),
    ("ggmf", "2a98bc18", [("ggmf-q4_1", 64, 2, 3)]),
    ("ggjt1a", "5f939498", [("ggjt1-q4_2", 32, 1, 5), ("ggjt1-q4_3", 32, 1, 6)]),
    ("ggjt1b", "20fbf2a2", [("ggjt1-f16", 32, 1, 1), ("ggjt1-q4_0", 32, 1, 2), ("ggjt1-q4_1", 32, 1, 3),
                            ("ggjt1-q5_0", 32, 1, 8), ("ggjt1-q5_1", 32, 1, 9), ("ggjt1-q8_0", 32, 1, 7)]),
    ("ggjt2", "601a0334", [("ggjt2-q4_0", 32, 1, 2), ("ggjt2-q4_1", 32, 1, 3), ("ggjt2-q5_0", 32, 1, 8),
                           ("ggjt2-q8_0", 32, 1, 7)]),
    ("ggjt3", "93618031", [("ggjt3-q4_0", 32, 1, 2), ("ggjt3-q4_1", 32, 1, 3), ("ggjt3-q5_0", 32, 1, 8),
                           ("ggjt3-q5_1", 32, 1, 9), ("ggjt3-q8_0", 32, 1, 7)]),
]
CUT_ROWS = ("wq", "wk", "wv", "w1", "w3", "output")
CUT_COLUMNS = ("tok_embeddings", "wo", "w2")


def make_meta(folder: Path, tokenizer: Path, width: int, parts: int) -> None:
    """A model as Meta released them, cut into parts, with tokenizer.model one folder up."""
    folder.mkdir(parents=True)
    shutil.copy(tokenizer, folder.parent / "tokenizer.model")
    shutil.copy(tokenizer, folder / "tokenizer.model")
    random = np.random.default_rng(20230311)
    hidden = (2 * (4 * width) // 3 + 31) // 32 * 32
    vocabulary = 512
    shapes = {"tok_embeddings.weight": (vocabulary, width), "norm.weight": (width,), "output.weight": (vocabulary, width)}
    for name in ("wq", "wk", "wv", "wo"):
        shapes[f"layers.0.attention.{name}.weight"] = (width, width)
    shapes["layers.0.feed_forward.w1.weight"] = (hidden, width)
    shapes["layers.0.feed_forward.w2.weight"] = (width, hidden)
    shapes["layers.0.feed_forward.w3.weight"] = (hidden, width)
    shapes["layers.0.attention_norm.weight"] = (width,)
    shapes["layers.0.ffn_norm.weight"] = (width,)
    weights = {name: torch.from_numpy((random.standard_t(4, shape) * 0.05).astype(np.float16))
               for name, shape in shapes.items()}
    for part in range(parts):
        piece = {}
        for name, value in weights.items():
            key = name.split(".")[-2]
            dim = 0 if key in CUT_ROWS else 1 if key in CUT_COLUMNS else None
            piece[name] = value if dim is None else value.chunk(parts, dim)[part].clone()
        piece["rope.freqs"] = torch.zeros(width // 4)
        torch.save(piece, folder / f"consolidated.{part:02d}.pth")
    params = {"dim": width, "multiple_of": 32, "n_heads": 2, "n_layers": 1, "norm_eps": 1e-6, "vocab_size": -1}
    (folder / "params.json").write_text(json.dumps(params))


def convert(peer: Path, meta: Path, parts: int) -> Path:
    """The peer's own converter, told only how many parts a model of this width has."""
    script = peer / "convert-pth-to-ggml.py"
    code = script.read_text().replace('if __name__ == "__main__":\n    main()', "").replace("\nmain()\n", "\n")
    scope = {"__name__": "converter"}
    exec(compile(code, str(script), "exec"), scope)  # the old converter, from a folder of the user's own
    scope["get_n_parts"] = lambda dim: parts
    before, sys.argv = sys.argv, [str(script), str(meta), "1"]
    scope["main"]()
    sys.argv = before
    return meta / "ggml-model-f16.bin"


class Decoder:
    """The decoders of an old ggml."""

    def __init__(self, library: Path):
        self.library = ctypes.CDLL(str(library))
        if not hasattr(self.library, "ggml_internal_get_quantize_fn"):
            return  # only float32 scales then, which need no tables

        class Params(ctypes.Structure):
            _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]

        self.library.ggml_init.argtypes = [Params]
        self.library.ggml_init.restype = ctypes.c_void_p
        self.library.ggml_init(Params(1 << 20, None, False))  # fills the tables of float16

    def __call__(self, kind: int, data: bytes, count: int) -> np.ndarray:
        if kind == 0:
            return np.frombuffer(data, np.float32)
        if kind == 1:
            return np.frombuffer(data, np.float16).astype(np.float32)
        out = np.empty(count, np.float32)
        function = self.function(kind)
        function(ctypes.c_char_p(data), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int(count))
        return out

    def function(self, kind: int):
        names = {2: "dequantize_row_q4_0", 3: "dequantize_row_q4_1"}
        if hasattr(self.library, "ggml_internal_get_quantize_fn"):
            class Functions(ctypes.Structure):
                _fields_ = [("dequantize", ctypes.c_void_p)] + [(f"f{i}", ctypes.c_void_p) for i in range(5)]
            get = self.library.ggml_internal_get_quantize_fn
            get.argtypes, get.restype = [ctypes.c_size_t], Functions
            return ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)(get(kind).dequantize)
        return getattr(self.library, names[kind])


BLOCKS = {"old": {0: (1, 4), 1: (1, 2), 2: (32, 20), 3: (32, 24), 4: (16, 10), 5: (16, 12), 6: (32, 22), 7: (32, 24),
                  8: (32, 36)},
          "ggjt3": {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}}


def read_tensors(path: Path, generation: str, decode: Decoder) -> dict:
    """{name: values} of one file, by a few lines of their own."""
    raw = path.read_bytes()
    at = 4 if raw[:4] == b"lmgg" else 8
    vocabulary = struct.unpack_from("<I", raw, at)[0]
    at += 28
    for _ in range(vocabulary):
        at += 4 + struct.unpack_from("<I", raw, at)[0] + (0 if raw[:4] == b"lmgg" else 4)
    out = {}
    while at < len(raw):
        rank, length, kind = struct.unpack_from("<3I", raw, at)
        extents = struct.unpack_from(f"<{rank}I", raw, at + 12)[::-1]
        at += 12 + 4 * rank
        name = raw[at:at + length].decode()
        at += length
        if raw[:4] == b"tjgg":
            at += -at % 32
        values, size = BLOCKS["ggjt3" if generation == "ggjt3" else "old"][kind]
        count = int(np.prod(extents))
        out[name] = decode(kind, raw[at:at + count // values * size], count).reshape(extents)
        at += count // values * size
    return out


def join(parts: list) -> dict:
    whole = {}
    for name, first in parts[0].items():
        key = name.split(".")[-2]
        if len(parts) == 1 or first.ndim == 1:
            whole[name] = first
        else:
            whole[name] = np.concatenate([part[name] for part in parts], 1 if key in CUT_COLUMNS else 0)
    return whole


def main() -> None:
    out, tokenizer, peers = (Path(argument).resolve() for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for generation, commit, models in GENERATIONS:
        peer = peers / generation
        decode = Decoder(peer / "libdecode.so")
        for name, width, parts, number in models:
            with tempfile.TemporaryDirectory() as scratch:
                meta = Path(scratch) / "models" / "M"
                make_meta(meta, tokenizer, width, parts)
                f16 = convert(peer, meta, parts)
                files = []
                for part in range(parts):
                    end = f".{part}" if part else ""
                    source, target = f"{f16}{end}", f"{out / name}.bin{end}"
                    if number == 1:
                        shutil.copy(source, target)
                    else:
                        subprocess.run([peer / "q", source, target, str(number)], check=True, cwd=peer,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    files.append(read_tensors(Path(target), generation, decode))
            for tensor, values in sorted(join(files).items()):
                digest = hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()
                lines.append(f"{name}.bin {tensor} {digest}\n")
    (out / "digests.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
