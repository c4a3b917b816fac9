#!/usr/bin/env python3
"""What people write to compare two safetensors files: the peer of `galatea diff` in scripts/bench_verify.sh.

diff_peer.py make FILE OUT     OUT is FILE with 0.001 added to every value
diff_peer.py diff A B          a line of numbers for each tensor
"""
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file


def tensors(path):
    with safe_open(path, "np") as file:
        for name in file.keys():
            yield name, file.get_tensor(name)


def compare(path_a, path_b):
    with safe_open(path_b, "np") as other:
        for name, a in tensors(path_a):
            b = other.get_tensor(name)
            bits = {2: np.uint16, 4: np.uint32}[a.dtype.itemsize]
            differing = int((a.view(bits) != b.view(bits)).sum())
            a, b = a.astype(np.float32).ravel(), b.astype(np.float32).ravel()
            d = a - b
            cosine = np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))
            rms = np.sqrt(np.mean(d * d, dtype=np.float64))
            print(name, differing, float(np.abs(d).max()), float(rms), float(cosine))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        save_file({name: (a.astype(np.float32) + np.float32(0.001)).astype(a.dtype)
                   for name, a in tensors(sys.argv[2])}, sys.argv[3])
    else:
        compare(sys.argv[2], sys.argv[3])
