"""Writes tests/data/safetensors/: small files by the official safetensors library.

Usage: safetensors_goldens.py [FOLDER]

What they hold follows from simple rules (see the test beside them): value i of every tensor is i, booleans
are i odd.
"""
import pathlib
import sys

import numpy
from safetensors import TensorSpec, serialize

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/safetensors"
WIDTHS = {"bool": 1, "uint8": 1, "int8": 1, "float8_e5m2": 1, "float8_e4m3fn": 1, "int16": 2, "uint16": 2,
          "float16": 2, "bfloat16": 2, "int32": 4, "uint32": 4, "float32": 4, "float64": 8, "int64": 8, "uint64": 8}
E4M3 = bytes([0x00, 0x38, 0x40, 0x44, 0x48, 0x4A])  # 0 1 2 3 4 5
E5M2 = bytes([0x00, 0x3C, 0x40, 0x42, 0x44, 0x45])


def values(dtype, count):
    if dtype == "float8_e4m3fn":
        return E4M3[:count]
    if dtype == "float8_e5m2":
        return E5M2[:count]
    if dtype == "bool":
        return bytes(i % 2 for i in range(count))
    if dtype == "bfloat16":
        return (numpy.arange(count, dtype=numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
    return numpy.arange(count).astype(dtype).tobytes()


def make(tensors, metadata):
    keep, specs = [], {}
    for name, (dtype, shape) in tensors.items():
        data = numpy.frombuffer(values(dtype, int(numpy.prod(shape, dtype=int))), dtype=numpy.uint8)
        keep.append(data)
        specs[name] = TensorSpec(dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=data.nbytes)
    return bytes(serialize(specs, metadata))


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "every_dtype": make({f"a.{dtype}": (dtype, [2, 3]) for dtype in WIDTHS}, {"format": "pt"}),
        "names": make({name: ("float16", [2]) for name in
                       ("b", "a", "B", "model.layers.10.w", "model.layers.2.w", "q\"u\\o/te", "tab\t\n\r\b\f\x1f\x7f",
                        "\u00e9\u2028\U0001f600", "")}, {"k\"ey": "v\u00e4l\n"}),
        "shapes": make({"scalar": ("float32", []), "empty": ("float32", [0]), "empty_matrix": ("float16", [3, 0]),
                        "deep": ("int8", [1, 2, 1, 3]), "one": ("float64", [1])}, None),
        "nothing": make({}, None),
    }
    for name, data in files.items():
        (folder / f"{name}.safetensors").write_bytes(data)


if __name__ == "__main__":
    main()
