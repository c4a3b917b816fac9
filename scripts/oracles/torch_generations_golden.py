"""Writes tests/data/torch_generations/: one state dict as different versions of torch save it.

Usage: torch_generations_golden.py [FOLDER]        (once with torch 1.13, 2.1, 2.6, 2.7 each)

state-VERSION.pt: three tensors, one of them empty, one with the type of every size of number. many-VERSION.pt:
as many small tensors as make the set of record names grow twice, so that the order of its members counts.
buffer-VERSION.pt: saved through a Python file object (records in "archive/").
"""
import pathlib
import sys

import torch

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/torch_generations"


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    version = ".".join(torch.__version__.split(".")[:2])
    state = {"half.weight": torch.arange(24, dtype=torch.float16).reshape(4, 6), "empty": torch.zeros(0),
             "single": torch.linspace(0, 1, 5), "brain": torch.linspace(-1, 1, 9).bfloat16(),
             "long": torch.arange(3), "flag": torch.tensor([True, False])}
    torch.save(state, folder / f"state-{version}.pt")
    torch.save({f"layer.{i}": torch.full((2,), i / 8).half() for i in range(70)}, folder / f"many-{version}.pt")
    with open(folder / f"buffer-{version}.pt", "wb") as file:
        torch.save({"w": torch.ones(3)}, file)


if __name__ == "__main__":
    main()
