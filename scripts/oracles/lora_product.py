"""Digests of torch's float32 product B @ A for the low ranks of adapters.

Usage: lora_product.py OUTPUT.json        (torch 1.13.1 on a processor with AVX-512)
The matrices follow from a formula that the test repeats, so only digests are stored: element i of matrix m is
(splitmix64(m * 2**32 + i) >> 40) / 2**23 - 1. "chain" is the model of converter/lora_product.h, checked here too:
fused multiply-adds over k in order, in pieces above rank 384.
"""
import hashlib
import json
import sys

import numpy as np
import torch

from sample_values import matrix

SHAPES = [(37, 1, 29), (64, 2, 100), (256, 8, 256), (256, 16, 768), (513, 64, 130), (100, 384, 37), (64, 385, 70),
          (64, 512, 64), (64, 767, 64)]


def fma_chain(b, a):
    """float64 holds the product exactly; the sum is rounded twice, which for these 24-bit inputs is rarely
    different from once. Differences are counted, not hidden."""
    out = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(b.shape[1]):
        out = (b[:, k:k + 1].astype(np.float64) * a[k:k + 1].astype(np.float64) + out).astype(np.float32)
    return out


def chained(b, a):
    rank = b.shape[1]
    piece = rank if rank <= 384 else (rank + 1) // 2 if rank < 768 else 384
    out = fma_chain(b[:, :piece], a[:piece])
    for k in range(piece, rank, piece):
        out = out + fma_chain(b[:, k:k + piece], a[k:k + piece])
    return out


def main(path):
    products = []
    for number, (rows, rank, cols) in enumerate(SHAPES):
        b, a = matrix(2 * number, rows, rank), matrix(2 * number + 1, rank, cols)
        product = (torch.from_numpy(b) @ torch.from_numpy(a)).numpy()
        different = int((product != chained(b, a)).sum())
        print(rows, rank, cols, "elements that differ from the chain:", different)
        products.append({"rows": rows, "rank": rank, "cols": cols,
                         "sha256": hashlib.sha256(product.tobytes()).hexdigest()})
    with open(path, "w") as out:
        json.dump({"torch": torch.__version__, "products": products}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
