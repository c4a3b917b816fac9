"""An adapter in the format of llama.cpp of 2023, written by llama.cpp's own convert-lora-to-ggml.py.

Usage: ggla_golden.py CONVERTER OUTPUT.bin        (requirements-2023.txt; CONVERTER: that script of June 2023, beside its
                                                   convert.py)

The adapter has rank 1, alpha 2 and the miniature's shapes, on o_proj and down_proj of both layers; the values of A and B of
the n-th module (layer by layer, o_proj first) are matrix(2 n, ...) and matrix(2 n + 1, ...) of sample_values.py. o_proj and
not q_proj: the converter does not bring rows into the rotary order of llama.cpp's files.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch

from sample_values import matrix

HIDDEN, FEED_FORWARD, RANK, ALPHA = 256, 768, 1, 2

tensors = {}
number = 0
for layer in range(2):
    for module, wide in [("self_attn.o_proj", HIDDEN), ("mlp.down_proj", FEED_FORWARD)]:
        name = f"base_model.model.model.layers.{layer}.{module}"
        tensors[name + ".lora_A.weight"] = torch.from_numpy(matrix(number, RANK, wide))
        tensors[name + ".lora_B.weight"] = torch.from_numpy(matrix(number + 1, HIDDEN, RANK))
        number += 2
with tempfile.TemporaryDirectory() as folder:
    torch.save(tensors, os.path.join(folder, "adapter_model.bin"))
    with open(os.path.join(folder, "adapter_config.json"), "w") as out:
        json.dump({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "fan_in_fan_out": False, "bias": "none",
                   "modules_to_save": None}, out)
    subprocess.run([sys.executable, sys.argv[1], folder], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(os.path.join(folder, "ggml-adapter-model.bin"), sys.argv[2])
