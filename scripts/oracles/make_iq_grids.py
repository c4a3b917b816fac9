#!/usr/bin/env python3
"""Writes format/iq_grids.bin: the grids of the i-quants, points as codes of 2 or 3 bits, lowest element first.

    bytes  grid                 points  of elements x bits
     512   IQ2_XXS              256     8 x 2
    1024   IQ2_XS               512     8 x 2
    2048   IQ2_S                1024    8 x 2
    4096   IQ1_S, IQ1_M         2048    8 x 2
     512   IQ3_XXS              256     4 x 3
    1024   IQ3_S                512     4 x 3

Each point is a u16 (little-endian), in the order of its index. Source: the tables of gguf-py, which holds them
as hexadecimal codes of 2 bits (8 elements to 4 digits) or 4 bits (2 elements to 2 digits).

Needs: pip install gguf numpy (made with gguf 0.19.0).  Usage: make_iq_grids.py OUT_FILE
"""
import sys
from pathlib import Path

import numpy as np
from gguf import quants


def points(kind) -> np.ndarray:
    kind.init_grid()
    values = kind.grid.reshape(kind.grid_shape)
    codes = np.searchsorted(np.array(kind.grid_map, dtype=np.float32), values).astype(np.uint32)
    bits = 2 if len(kind.grid_map) == 3 else 3
    return (codes << (bits * np.arange(kind.grid_shape[1], dtype=np.uint32))).sum(axis=1).astype("<u2")


grids = [quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ1_S, quants.IQ3_XXS, quants.IQ3_S]
Path(sys.argv[1]).write_bytes(b"".join(points(kind).tobytes() for kind in grids))
