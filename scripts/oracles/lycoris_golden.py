"""A LoRA with kohya's names as LyCORIS saves it, and what its merge_to makes of the weights.

Usage: lycoris_golden.py OUTPUT_FOLDER        (lycoris-lora 3.1.1, einops, toml; torch and transformers of requirements-peft.txt)

kohya's own trainer has no LLaMA; LyCORIS writes its format (lora_down, lora_up, alpha) for any model. The base is that of
tests/converter/lora_sample.h, as in lora_goldens.py. Rank 3 and alpha 5 on q_proj and down_proj of the last layer, the latter
with LyCORIS's rsLoRA, whose alpha it stores so that alpha / rank is the scale. In merged.safetensors the merged matrices.
"""
import os
import sys

import torch
from lycoris import LycorisNetwork, create_lycoris
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from sample_values import filled

MODULES = ["model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"]


folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
model = LlamaForCausalLM(LlamaConfig(hidden_size=32, num_hidden_layers=2, intermediate_size=40, num_attention_heads=4,
                                     vocab_size=48, tie_word_embeddings=False))
model.load_state_dict({name: torch.from_numpy(filled(name, tensor.shape)) for name, tensor in model.state_dict().items()})
LycorisNetwork.apply_preset({"target_module": [], "target_name": MODULES, "name_algo_map": {MODULES[1]: {"rs_lora": True}}})
network = create_lycoris(model, 1.0, linear_dim=3, linear_alpha=5, algo="lora")
network.apply_to()
with torch.no_grad():
    for name, parameter in network.named_parameters():
        parameter.copy_(torch.from_numpy(filled("lycoris " + name, parameter.shape)))
network.save_weights(os.path.join(folder, "lora.safetensors"), None, None)
network.restore()
network.merge_to(1.0)
save_file({name + ".weight": model.get_submodule(name).weight.detach().contiguous() for name in MODULES},
          os.path.join(folder, "merged.safetensors"))
