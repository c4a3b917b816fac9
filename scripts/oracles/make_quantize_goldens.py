#!/usr/bin/env python3
"""Writes tests/data/quantize/: blocks of weights, and what ggml's reference quantizers make of them.

    weights.f32                    float32, 32 values a block
    q4_0.bin ... q8_0.bin          the blocks by quantize_row_*_ref
    importance.f32                 float32, a weight for each of 1792 columns
    TYPE.rows.bin                  the values as 6 rows of 1792 columns by quantize_TYPE, without importance
    TYPE.weighted.bin              the same with it

Needs numpy and a library with the quantize_* of ggml, built without contraction, whose i-quant grids are
initialised when it is loaded (made with ggml 0.25.3).
Usage: make_quantize_goldens.py LIBRARY OUT_FOLDER
"""
import ctypes
import sys
from pathlib import Path

import numpy as np

BLOCKS = 24  # of each kind
BYTES = {"q4_0": 18, "q4_1": 20, "q5_0": 22, "q5_1": 24, "q8_0": 34}
ROWS, COLUMNS = 6, 1792
# Bytes of a row in each type.
ROW_BYTES = {name: COLUMNS // 256 * size for name, size in {
    "q2_K": 84, "q3_K": 110, "q4_K": 144, "q5_K": 176, "q6_K": 210, "iq4_xs": 136, "tq1_0": 54, "tq2_0": 66,
    "iq3_xxs": 98, "iq3_s": 110, "iq2_s": 82, "iq1_m": 56, "iq2_xxs": 66, "iq2_xs": 74, "iq1_s": 50}.items()}
ROW_BYTES |= {name: COLUMNS // 32 * size for name, size in {
    "q4_0": 18, "q4_1": 20, "q5_0": 22, "q5_1": 24, "iq4_nl": 18, "mxfp4": 17}.items()}
ONLY_WEIGHTED = {"q4_0", "q4_1", "q5_0", "q5_1", "iq2_xxs", "iq2_xs", "iq1_s"}
ONLY_PLAIN = {"tq1_0", "tq2_0", "mxfp4"}


def kinds(random):
    shape = (BLOCKS, 32)
    normal = lambda: random.standard_normal(shape)
    scale = np.exp2(random.integers(-14, 6, (BLOCKS, 1)))
    signs = np.where(random.random(shape) < 0.5, 1.0, -1.0)
    yield normal() * 0.02  # like weights
    yield normal() / (np.abs(normal()) + 1e-3) * scale  # heavy tails
    yield np.broadcast_to(random.standard_normal((BLOCKS, 1)), shape) * scale  # constant
    yield signs * 0.0  # zeros of both signs
    yield normal() * 2.0**-130  # subnormal float32
    yield normal() * 2.0**-20  # scales that are subnormal halves
    outlier = normal() * scale
    outlier[np.arange(BLOCKS), np.arange(BLOCKS) % 32] *= 1000
    yield outlier
    yield random.integers(-16, 17, shape) * scale  # codes on halves
    yield random.integers(-64, 65, shape) / 2 * scale
    yield signs * scale  # equals of both signs
    yield np.abs(normal()) * scale
    yield -np.abs(normal()) * scale
    yield np.where(random.random(shape) < 0.5, 0.0, np.abs(normal())) * signs * 2.0**-140
    yield normal() * 1e6  # scales that overflow a half


def make_rows(library, folder, weights, random) -> None:
    importance = np.square(random.standard_normal(COLUMNS)).astype(np.float32)
    importance[random.random(COLUMNS) < 0.02] = 0
    importance[random.random(COLUMNS) < 0.02] *= 1000
    importance.astype("<f4").tofile(folder / "importance.f32")
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    for name, size in ROW_BYTES.items():
        out = np.zeros((ROWS, size), dtype=np.uint8)
        encode = getattr(library, f"quantize_{name}")
        for given, ending in ((None, "rows"), (importance, "weighted")):
            if name in (ONLY_WEIGHTED if given is None else ONLY_PLAIN):
                continue
            encode(pointer(weights), pointer(out), ctypes.c_int64(ROWS), ctypes.c_int64(COLUMNS),
                   None if given is None else pointer(given))
            out.tofile(folder / f"{name}.{ending}.bin")


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20230502)
    weights = np.ascontiguousarray(np.concatenate([np.asarray(k, dtype=np.float32) for k in kinds(random)]))
    weights.astype("<f4").tofile(folder / "weights.f32")
    for name, size in BYTES.items():
        out = np.zeros((len(weights), size), dtype=np.uint8)
        encode = getattr(library, f"quantize_row_{name}_ref")
        encode(weights.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(weights.size))
        out.tofile(folder / f"{name}.bin")
    make_rows(library, folder, weights, random)


main()
