"""LoRA and DoRA adapters as mlx-lm saves them, and what its fuse makes of the weights.

Usage: mlx_golden.py OUTPUT_FOLDER        (mlx[cpu] 0.32.4, mlx-lm 0.32.2, numpy)

The base is that of tests/converter/lora_sample.h: a LLaMA of two layers, hidden 32, whose values follow from the names, as in
lora_goldens.py. For each of lora and dora, rank 3, scale 2.5, on q_proj and down_proj of the last layer: adapters.safetensors and
adapter_config.json, and in fused.safetensors the fused matrices.
"""
import os
import sys

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models.llama import Model, ModelArgs
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save_config

from sample_values import filled

mx.set_default_device(mx.cpu)
KEYS = ["self_attn.q_proj", "mlp.down_proj"]


def make(kind, folder):
    os.makedirs(folder, exist_ok=True)
    model = Model(ModelArgs(model_type="llama", hidden_size=32, num_hidden_layers=2, intermediate_size=40,
                            num_attention_heads=4, num_key_value_heads=4, rms_norm_eps=1e-6, vocab_size=48,
                            tie_word_embeddings=False))
    model.update(tree_unflatten([(name, mx.array(filled(name, array.shape))) for name, array in tree_flatten(model.parameters())]))
    parameters = {"rank": 3, "scale": 2.5, "dropout": 0.0, "keys": KEYS}
    model.freeze()
    linear_to_lora_layers(model, 1, parameters, use_dora=kind == "dora")
    trained = [(name, mx.array(filled("mlx " + name, array.shape))) for name, array in tree_flatten(model.trainable_parameters())]
    model.update(tree_unflatten(trained))
    mx.save_safetensors(os.path.join(folder, "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    save_config({"fine_tune_type": kind, "num_layers": 1, "lora_parameters": parameters},
                os.path.join(folder, "adapter_config.json"))
    fused = {name: module.fuse().weight for name, module in model.named_modules() if hasattr(module, "fuse")}
    mx.save_safetensors(os.path.join(folder, "fused.safetensors"),
                        {name + ".weight": weight for name, weight in fused.items()})


for kind in ("lora", "dora"):
    make(kind, os.path.join(sys.argv[1], kind))
