"""LoRA and DoRA adapters as mlx-lm saves them, and what its fuse makes of the weights.

Usage: mlx_golden.py OUTPUT_FOLDER        (mlx[cpu] 0.32.4, mlx-lm 0.32.2, numpy)

The base is that of tests/converter/lora_sample.h: a LLaMA of two layers, hidden 32, whose values follow from the names, as in
lora_goldens.py. For each of lora and dora, rank 3, scale 2.5, on q_proj and down_proj of the last layer: adapters.safetensors and
adapter_config.json, and in fused.safetensors the fused matrices.
"""
import os
import sys
import zlib

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save_config

mx.set_default_device(mx.cpu)
KEYS = ["self_attn.q_proj", "mlp.down_proj"]


def values(name, count):
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 32) + np.uint64(1)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


def filled(name, shape):
    value = values(name, int(np.prod(shape)))
    value = np.float32(1.5) + value * np.float32(0.5) if len(shape) == 1 else value * np.float32(0.25)
    return mx.array(value.reshape(shape))


def make(kind, folder):
    os.makedirs(folder, exist_ok=True)
    model = Model(ModelArgs(model_type="llama", hidden_size=32, num_hidden_layers=2, intermediate_size=40,
                            num_attention_heads=4, num_key_value_heads=4, rms_norm_eps=1e-6, vocab_size=48,
                            tie_word_embeddings=False))
    model.update(tree_unflatten([(name, filled(name, array.shape)) for name, array in tree_flatten(model.parameters())]))
    parameters = {"rank": 3, "scale": 2.5, "dropout": 0.0, "keys": KEYS}
    model.freeze()
    linear_to_lora_layers(model, 1, parameters, use_dora=kind == "dora")
    trained = [(name, filled("mlx " + name, array.shape)) for name, array in tree_flatten(model.trainable_parameters())]
    model.update(tree_unflatten(trained))
    mx.save_safetensors(os.path.join(folder, "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    save_config({"fine_tune_type": kind, "num_layers": 1, "lora_parameters": parameters},
                os.path.join(folder, "adapter_config.json"))
    fused = {name: module.fuse().weight for name, module in model.named_modules() if hasattr(module, "fuse")}
    mx.save_safetensors(os.path.join(folder, "fused.safetensors"),
                        {name + ".weight": weight for name, weight in fused.items()})


for kind in ("lora", "dora"):
    make(kind, os.path.join(sys.argv[1], kind))
