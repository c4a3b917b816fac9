"""Writes tests/data/torch_zip64/: what stands around a tensor of 4 GiB in a file of torch.save (torch 1.13).

Usage: torch_zip64_golden.py [FOLDER]        (needs 9 GB of memory and 5 GB in the temporary folder)

head.bin: all bytes before the data of the big tensor; tail.bin: all bytes after them. The file is called big.pt.
"""
import pathlib
import sys
import tempfile

import torch

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/torch_zip64"
BIG = 2**32 - 1


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        path = pathlib.Path(temporary) / "big.pt"
        torch.save({"a": torch.ones(3, dtype=torch.float16), "big": torch.zeros(BIG, dtype=torch.uint8),
                    "c": torch.ones(5, dtype=torch.float32), "e": torch.ones(0)}, path)
        with open(path, "rb") as f:
            start = 640  # a multiple of 64, as of every record
            (folder / "head.bin").write_bytes(f.read(start))
            f.seek(start + BIG)
            (folder / "tail.bin").write_bytes(f.read())


if __name__ == "__main__":
    main()
