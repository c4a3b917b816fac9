"""Does a stated formula give every float32 element of the merge, bit for bit?

    merged[i,j] = float(W16[i,j]) + scaling * p,   p = fma over k = 0..r-1, ascending, from 0, of B[i,k] * A[k,j]
    (embedding: the same p at [j,i]), each operation rounded to float32
"""
import json

import numpy
import torch
from transformers import LlamaForCausalLM

import paths


def fma_product(b, a):
    """Sequential fused multiply-add over the rank; the product of two float32 is exact in float64."""
    total = numpy.zeros((b.shape[0], a.shape[1]), dtype=numpy.float32)
    b, a = b.astype(numpy.float64), a.astype(numpy.float64)
    for k in range(b.shape[1]):
        total = (b[:, k:k + 1] * a[k:k + 1] + total.astype(numpy.float64)).astype(numpy.float32)
    return total


def formula(base, adapter, scaling):
    """-> {module: float32 merged weight}"""
    merged = {}
    for key in adapter:
        if "lora_A" not in key and "lora_embedding_A" not in key:
            continue
        module = key[len("base_model.model."):key.index(".lora_")]
        a, b = adapter[key].numpy(), adapter[key.replace("A", "B")].numpy()
        delta = fma_product(b, a) * numpy.float32(scaling)
        delta = delta.T if "embedding" in key else delta
        merged[module] = base[module + ".weight"].float().numpy() + delta
    return merged


def compare(merged_float32):
    """merged_float32: state dict of PEFT's merge before .half(). -> {module: number of elements that differ}"""
    config = json.loads((paths.ADAPTER / "adapter_config.json").read_text())
    adapter = torch.load(paths.ADAPTER / "adapter_model.bin")
    base = LlamaForCausalLM.from_pretrained(paths.BASE, torch_dtype=torch.float16).state_dict()
    expected = formula(base, adapter, config["lora_alpha"] / config["r"])
    return {module: int((merged_float32[module + ".weight"].numpy() != value).sum())
            for module, value in expected.items()}
