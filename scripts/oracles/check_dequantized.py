#!/usr/bin/env python3
"""Checks galatea's decoding of a quantized GGUF against gguf-py's own dequantization, bit for bit.

    check_dequantized.py QUANTIZED.gguf F32.gguf [HF_FOLDER]

F32.gguf is the first file converted to F32 by galatea; HF_FOLDER, where given, the same as safetensors, whose names and
rotary rows must go back to the GGUF's. Prints a line; exit code 1 when a value differs. Needs gguf, numpy, safetensors.
"""
import json
import sys
from pathlib import Path

import numpy as np
from gguf import MODEL_ARCH, GGUFReader, get_tensor_name_map
from gguf.quants import dequantize

faults = []


def compare(what, wanted, found):
    if found is None or wanted.shape != found.shape or wanted.tobytes() != found.tobytes():
        faults.append(what)


def main() -> int:
    quantized = {tensor.name: tensor for tensor in GGUFReader(sys.argv[1]).tensors}
    plain = {tensor.name: tensor for tensor in GGUFReader(sys.argv[2]).tensors}
    values = {name: dequantize(tensor.data, tensor.tensor_type).astype(np.float32) for name, tensor in quantized.items()}
    for name, value in values.items():
        compare(name, value, plain[name].data if name in plain else None)
    if len(sys.argv) > 3:
        from safetensors.numpy import load_file

        folder = Path(sys.argv[3])
        config = json.loads((folder / "config.json").read_text())
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
        names = get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
        stored = {}
        for part in sorted(folder.glob("*.safetensors")):
            stored.update(load_file(part))
        for name, value in stored.items():
            role = name.split(".")[-2]
            if role in heads:
                rows, cols = value.shape
                value = value.reshape(heads[role], 2, rows // heads[role] // 2, cols).swapaxes(1, 2).reshape(rows, cols)
            gguf_name = names.get_name(name, try_suffixes=(".weight",))
            if gguf_name in values or name != "lm_head.weight":
                compare(name, values.get(gguf_name, np.empty(0)), np.ascontiguousarray(value))
    kinds = sorted({tensor.tensor_type.name for tensor in quantized.values()})
    print(f"{len(values)} tensors of {' '.join(kinds)}: " + ("the same bits" if not faults else "DIFFER: " + " ".join(faults[:9])))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
