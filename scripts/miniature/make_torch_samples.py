"""Writes tests/data/torch/: small files by torch.save of torch 1.13, and expected.json saying what they hold.

Usage: make_torch_samples.py [FOLDER]        (run it with the environment of scripts/oracles/setup.sh)

expected.json maps each file name to a tree of nodes:
  {"kind": "tensor", "dtype", "shape", "stride", "offset" (elements), "storage" (number of the storage in the
   file, in order of appearance), "storage_elements", "requires_grad", "parameter", "hex"}
      hex is the tensor's own elements in row-major order, little-endian, whatever the strides
  {"kind": "dict"|"ordereddict", "items": [[key node, value node], ...]}
  {"kind": "list"|"tuple", "items": [node, ...]}
  {"kind": "str"|"int"|"bool"|"none"|"float", "value"}      a float's value is its float.hex(), an int's a string
Files under hostile/ must be refused: expected.json says why.
Every run gives the same bytes, but for legacy*.pt: that format names storages by their address in memory.
"""
import json
import pathlib
import sys
import zipfile
from collections import OrderedDict

import numpy
import torch

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/torch"


def raw_bytes(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.dtype == torch.bfloat16:
        flat = flat.view(torch.int16)
    return flat.numpy().tobytes()


class Describer:
    def __init__(self):
        self.storages = {}

    def tensor(self, t):
        key = t.storage()._cdata
        number = self.storages.setdefault(key, len(self.storages))
        return {
            "kind": "tensor",
            "dtype": str(t.dtype).replace("torch.", ""),
            "shape": list(t.shape),
            "stride": list(t.stride()),
            "offset": t.storage_offset(),
            "storage": number,
            "storage_elements": len(t.storage()),
            "requires_grad": t.requires_grad,
            "parameter": isinstance(t, torch.nn.Parameter),
            "hex": raw_bytes(t).hex(),
        }

    def node(self, x):
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if isinstance(x, dict):
            kind = "ordereddict" if isinstance(x, OrderedDict) else "dict"
            return {"kind": kind, "items": [[self.node(k), self.node(v)] for k, v in x.items()]}
        if isinstance(x, (list, tuple)):
            return {"kind": type(x).__name__, "items": [self.node(v) for v in x]}
        if x is None:
            return {"kind": "none", "value": None}
        if isinstance(x, bool):
            return {"kind": "bool", "value": x}
        if isinstance(x, int):
            return {"kind": "int", "value": str(x)}
        if isinstance(x, float):
            return {"kind": "float", "value": x.hex()}
        return {"kind": "str", "value": str(x)}


def every_dtype():
    specials = [0.0, -0.0, 1.0, -1.5, 0.1, 65504.0, 6e-8, float("inf"), float("-inf"), float("nan")]
    out = {}
    for name in ("float64", "float32", "float16", "bfloat16"):
        out[name] = torch.tensor(specials, dtype=torch.float64).to(getattr(torch, name)).reshape(2, 5)
    for name in ("int64", "int32", "int16", "int8"):
        info = torch.iinfo(getattr(torch, name))
        out[name] = torch.tensor([info.min, -1, 0, 1, 42, info.max], dtype=getattr(torch, name)).reshape(3, 2)
    out["uint8"] = torch.tensor([0, 1, 127, 128, 254, 255], dtype=torch.uint8)
    out["bool"] = torch.tensor([True, False, True])
    return out


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "transposed": base.t(),
        "strided": torch.arange(20, dtype=torch.int32)[1::3],
        "offset": torch.arange(30, dtype=torch.float16)[10:22].reshape(3, 4),
        "column": torch.arange(12, dtype=torch.int64).reshape(3, 4)[:, 2],
        "permuted": torch.arange(24, dtype=torch.bfloat16).reshape(2, 3, 4).permute(2, 0, 1),
        "expanded": torch.tensor([1.0, 2.0, 3.0]).expand(4, 3),
    }


def shared():
    weight = torch.arange(12, dtype=torch.float16).reshape(4, 3)
    return OrderedDict([("embed.weight", weight), ("head.weight", weight), ("second_row", weight[1])])


def module_state():
    torch.manual_seed(7)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2), torch.nn.Embedding(4, 2))
    return module.state_dict()


def nested():
    return {
        "model": {"layers": [torch.ones(2, dtype=torch.float16), (torch.zeros(1), torch.tensor(3))]},
        "step": 300,
        "numbers": [0, 1, 255, 256, 65535, 65536, -1, -129, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**70)],
        "rate": 3e-4,
        "nan": float("nan"),
        "done": False,
        "ready": True,
        "nothing": None,
        "text": "h\u00e9llo \u2047 \U0001f600\n",
        "empty": [{}, [], (), "", OrderedDict()],
        "pairs": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        7: "an integer key",
        ("tuple", 1): "a tuple key",
    }


def samples():
    yield "dtypes.pt", every_dtype()
    yield "scalar_and_empty.pt", {
        "zero_dim": torch.tensor(2.5),
        "zero_dim_int": torch.tensor(-7),
        "empty": torch.empty(0),
        "empty_matrix": torch.empty(3, 0, dtype=torch.float16),
        "one": torch.ones(1, 1, 1, dtype=torch.float64),
    }
    yield "views.pt", views()
    yield "shared_storage.pt", shared()
    yield "parameter.pt", {
        "weight": torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        "frozen": torch.nn.Parameter(torch.tensor([5.0]), requires_grad=False),
        "leaf": torch.tensor([6.0], requires_grad=True),
    }
    yield "state_dict.pt", module_state()
    yield "bare_tensor.pt", torch.arange(5, dtype=torch.int16)
    yield "nested.pt", nested()
    yield "many.pt", {f"t{i}": torch.tensor([i], dtype=torch.int16) for i in range(300)}
    yield "two.dots.in.name.bin", {"x": torch.ones(2, 2, dtype=torch.float16)}
    yield "legacy.pt", {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.ones(3).half()}
    yield "legacy_shared.pt", shared()
    yield "legacy_dtypes.pt", every_dtype()
    yield "from_buffer.pt", {"x": torch.arange(4, dtype=torch.float32)}


def save(name, payload, path):
    if name.startswith("legacy"):
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    elif name == "from_buffer.pt":
        with open(path, "wb") as f:
            torch.save(payload, f)  # a stream has no name: the folder inside the zip is "archive"
    else:
        torch.save(payload, path)


def write_zip(path, pickle):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name, data in (("archive/data.pkl", pickle), ("archive/version", b"3\n")):
            z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def call(module, function, argument):
    text = argument.encode()
    return (b"\x80\x02c" + module.encode() + b"\n" + function.encode() + b"\nq\x00X"
            + len(text).to_bytes(4, "little") + text + b"q\x01\x85q\x02Rq\x03.")


def write_hostile(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_zip(folder / "os_system.pt", call("os", "system", "touch executed-by-pickle"))
    write_zip(folder / "builtins_eval.pt", call("builtins", "eval", "open('executed-by-pickle', 'w')"))
    write_zip(folder / "python2_builtin.pt", call("__builtin__", "eval", "open('executed-by-pickle', 'w')"))
    torch.save({"x": numpy.arange(3, dtype=numpy.float32)}, folder / "numpy_array.pt")
    return {
        "hostile/os_system.pt": "calls os.system",
        "hostile/builtins_eval.pt": "calls builtins.eval",
        "hostile/python2_builtin.pt": "calls __builtin__.eval, as protocol 2 spells builtins.eval",
        "hostile/numpy_array.pt": "harmless, written by torch.save, but needs numpy.core.multiarray._reconstruct",
    }


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    expected = {"torch": torch.__version__.split("+")[0], "files": {}}
    for name, payload in samples():
        save(name, payload, folder / name)
        expected["files"][name] = Describer().node(payload)
    expected["refuse"] = write_hostile(folder / "hostile")
    with open(folder / "expected.json", "w") as f:
        json.dump(expected, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
