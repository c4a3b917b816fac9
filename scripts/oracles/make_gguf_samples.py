#!/usr/bin/env python3
"""Writes tests/data/gguf/: small GGUF files made by gguf-py, and what gguf-py decodes from their tensors.

    values.gguf         one entry of every metadata type, arrays of each, arrays in arrays; alignment 64
    types.gguf          a tensor of every element type that galatea shares with GGUF, random contents
    types.f32           the same tensors as float32, one after another, decoded by gguf-py (numpy for integers)
    split-*.gguf        a model of three tensors in three parts, as GGUFWriter splits it

Needs: pip install gguf numpy (made with gguf 0.19.0, numpy 1.24).  Usage: make_gguf_samples.py OUT_FOLDER
"""
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as T
from gguf import GGUFWriter
from gguf.quants import dequantize


def finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_values(path: Path) -> None:
    w = GGUFWriter(path, "llama")
    w.add_custom_alignment(64)
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 4294967295)
    w.add_int32("t.i32", -2147483648)
    w.add_float32("t.f32", 0.1)
    w.add_bool("t.true", True)
    w.add_bool("t.false", False)
    w.add_string("t.str", "Galatea \u2581 \u00e9")
    w.add_uint64("t.u64", 18446744073709551615)
    w.add_int64("t.i64", -9223372036854775808)
    w.add_float64("t.f64", 0.1)
    for kind, values in {
        T.UINT8: [0, 255], T.INT8: [-128, 127], T.UINT16: [0, 65535], T.INT16: [-32768, 32767],
        T.UINT32: [0, 4294967295], T.INT32: [-2147483648, 2147483647], T.FLOAT32: [0.5, -0.25, 1e-40],
        T.BOOL: [True, False, True], T.STRING: ["a", "<s>", "\u2581the"],
        T.UINT64: [0, 18446744073709551615], T.INT64: [-9223372036854775808, 1], T.FLOAT64: [0.1, -1e300],
    }.items():
        w.add_key_value("a." + kind.name.lower(), values, T.ARRAY, sub_type=kind)
    w.add_array("a.nested", [[1, 2, 3], [4]])
    w.add_array("a.nested_text", [["x", "yy"], ["z"]])
    w.add_tensor("one", np.arange(6, dtype=np.float32).reshape(2, 3))
    w.add_tensor("two", np.arange(5, dtype=np.float16))
    finish(w)


def make_types(folder: Path) -> None:
    random = np.random.default_rng(20230501)
    w = GGUFWriter(folder / "types.gguf", "llama")
    decoded = []

    def plain(name, array):
        w.add_tensor(name, array)
        decoded.append(array.astype(np.float32))

    plain("f32", random.standard_normal((3, 32)).astype(np.float32))
    plain("f16", random.standard_normal((2, 3, 32)).astype(np.float16))
    plain("f64", random.standard_normal(7))
    plain("i8", random.integers(-128, 128, 9, dtype=np.int8))
    plain("i16", random.integers(-32768, 32768, 9, dtype=np.int16))
    plain("i32", random.integers(-2**31, 2**31, 9, dtype=np.int32))
    plain("i64", random.integers(-2**63, 2**63, 9, dtype=np.int64))

    half = lambda n: (random.standard_normal((n, 1)) * np.exp2(random.integers(-14, 12, (n, 1)))).astype(np.float16)
    junk = lambda n, size: random.integers(0, 256, (n, size), dtype=np.uint8)
    n = 16  # blocks of each type, in 4 rows
    blocks = {
        Q.BF16: None,
        Q.Q4_0: [half(n), junk(n, 16)],
        Q.Q4_1: [half(n), half(n), junk(n, 16)],
        Q.Q5_0: [half(n), junk(n, 4), junk(n, 16)],
        Q.Q5_1: [half(n), half(n), junk(n, 4), junk(n, 16)],
        Q.Q8_0: [half(n), junk(n, 32)],
    }
    for kind, parts in blocks.items():
        if parts is None:
            values = (random.standard_normal((4, 33)).astype(np.float32).view(np.uint32) & 0xFFFF0000)
            raw = (values >> 16).astype(np.uint16).view(np.uint8)
        else:
            raw = np.concatenate([p.view(np.uint8) for p in parts], axis=1).reshape(4, -1)
        w.add_tensor(kind.name.lower(), raw, raw_dtype=kind)
        decoded.append(dequantize(raw, kind).astype(np.float32))
    n = 2  # blocks of each of the types of 256, a row each
    blocks = {
        Q.Q2_K: [junk(n, 80), half(n), half(n)],
        Q.Q3_K: [junk(n, 108), half(n)],
        Q.Q4_K: [half(n), half(n), junk(n, 140)],
        Q.Q5_K: [half(n), half(n), junk(n, 172)],
        Q.Q6_K: [junk(n, 208), half(n)],
        Q.IQ2_XXS: [half(n), junk(n, 64)],
        Q.IQ2_XS: [half(n), junk(n, 72)],
        Q.IQ2_S: [half(n), junk(n, 80)],
        Q.IQ3_XXS: [half(n), junk(n, 96)],
        Q.IQ3_S: [half(n), junk(n, 108)],
        Q.IQ1_S: [half(n), junk(n, 48)],
        Q.IQ1_M: [junk(n, 55), junk(n, 1) & 0xBF],  # that bit off: the scale in the last nibbles is finite
        Q.IQ4_NL: [half(n), junk(n, 16)],
        Q.IQ4_XS: [half(n), junk(n, 134)],
        Q.TQ1_0: [junk(n, 52), half(n)],
        Q.TQ2_0: [junk(n, 64), half(n)],
        Q.MXFP4: [junk(n, 17)],
    }
    for kind, parts in blocks.items():
        raw = np.concatenate([p.view(np.uint8) for p in parts], axis=1)
        w.add_tensor(kind.name.lower(), raw, raw_dtype=kind)
        decoded.append(dequantize(raw, kind).astype(np.float32))
    finish(w)
    np.concatenate([d.ravel() for d in decoded]).astype("<f4").tofile(folder / "types.f32")


def make_split(folder: Path) -> None:
    w = GGUFWriter(folder / "split.gguf", "llama", split_max_tensors=1)
    w.add_string("general.name", "in three parts")
    for i, name in enumerate(("first", "second", "third")):
        w.add_tensor(name, np.full((2, 2), i + 1, dtype=np.float32))
    finish(w)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make_values(folder / "values.gguf")
    make_types(folder)
    make_split(folder)


main()
