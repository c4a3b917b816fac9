#!/usr/bin/env python3
"""Writes tests/data/imatrix/: importance matrices of the miniature in both forms, with the same weights.

    miniature.imatrix.gguf    as llama-imatrix of 2025 writes it, by gguf-py
    miniature.imatrix.dat     the older form, by its layout

Every matrix of the layers has one; attn_k of layer 1 was never used (count 0), the embedding has none.

Needs: pip install gguf numpy (made with gguf 0.19.0).  Usage: make_imatrix_samples.py OUT_FOLDER
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

HIDDEN, FEED, CHUNKS, TOKENS = 256, 768, 8, 512
ROLES = {"attn_q": HIDDEN, "attn_k": HIDDEN, "attn_v": HIDDEN, "attn_output": HIDDEN,
         "ffn_gate": HIDDEN, "ffn_up": HIDDEN, "ffn_down": FEED}


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20240111)
    matrices = {}
    for layer in range(2):
        for role, columns in ROLES.items():
            # Powers of two of the count keep sums, means and means times chunks exact in both forms.
            means = np.square(random.standard_normal(columns)).astype(np.float16).astype(np.float32)
            used = (layer, role) != (1, "attn_k")
            matrices[f"blk.{layer}.{role}.weight"] = (means if used else means * 0, used)

    w = GGUFWriter(folder / "miniature.imatrix.gguf", "imatrix")
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["calibration.txt"])
    w.add_uint32("imatrix.chunk_count", CHUNKS)
    w.add_uint32("imatrix.chunk_size", TOKENS)
    for name, (means, used) in matrices.items():
        count = CHUNKS * TOKENS if used else 0
        w.add_tensor(name + ".in_sum2", (means * count).reshape(1, -1).astype(np.float32))
        w.add_tensor(name + ".counts", np.array([[count]], dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()

    with open(folder / "miniature.imatrix.dat", "wb") as out:
        out.write(struct.pack("<i", len(matrices)))
        for name, (means, used) in matrices.items():
            out.write(struct.pack("<i", len(name)) + name.encode())
            out.write(struct.pack("<ii", CHUNKS if used else 0, len(means)))
            out.write((means * CHUNKS).astype("<f4").tobytes())
        text = b"calibration.txt"
        out.write(struct.pack("<ii", CHUNKS, len(text)) + text)


main()
