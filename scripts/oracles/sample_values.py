"""Values that follow from a formula, so that goldens hold digests and the tests (tests/converter/lora_sample.h) make the
values again:

    value i of the sample NUMBER = (splitmix64(NUMBER * 2**32 + i) >> 40) / 2**23 - 1, exact in float32

A tensor's number is the CRC-32 of its name; vectors are 1.5 + half of that value, other tensors a quarter of it.
"""
import zlib

import numpy as np


def sample(number, count):
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(number << 32) + np.uint64(1)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


def matrix(number, rows, cols):
    return sample(number, rows * cols).reshape(rows, cols)


def values(name, count):
    return sample(zlib.crc32(name.encode()), count)


def filled(name, shape):
    value = values(name, int(np.prod(shape)))
    value = np.float32(1.5) + value * np.float32(0.5) if len(shape) == 1 else value * np.float32(0.25)
    return value.reshape(shape)
