"""Loads an adapter that galatea extract-lora made into real PEFT and compares PEFT's merge with the merged model.

Usage: check_extracted.py BASE_FOLDER MERGED_FOLDER ADAPTER_FOLDER [LARGEST_DIFFERENCE]
       (requirements-peft.txt or requirements-2023.txt; the folders are Hugging Face's)
Fails when PEFT leaves a tensor of the adapter aside, or a merged value differs by more (default 1e-5).
"""
import sys
import warnings

import peft
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM


def adapter_names(folder):
    from safetensors import safe_open
    with safe_open(folder + "/adapter_model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def main(base, merged, adapter, largest="1e-5"):
    warnings.simplefilter("error", category=UserWarning)  # PEFT warns of missing keys
    stored = adapter_names(adapter)
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base, torch_dtype=torch.float32), adapter)
    loaded = model.state_dict()
    for name, tensor in stored.items():
        candidates = [key for key in loaded
                      if key.replace(".default", "").replace(".modules_to_save", "") == name and "original" not in key]
        if not any(torch.equal(loaded[key].float(), tensor.float()) for key in candidates):
            sys.exit(f"{name} was not loaded")
    found = model.merge_and_unload().state_dict()
    expected = LlamaForCausalLM.from_pretrained(merged, torch_dtype=torch.float32).state_dict()
    worst, where = 0.0, ""
    for name, tensor in expected.items():
        if "inv_freq" in name:
            continue
        difference = float((found[name] - tensor).abs().max())
        worst, where = max((worst, where), (difference, name))
    print(f"PEFT {peft.__version__}: {len(stored)} tensors loaded; largest difference {worst:.3g} in {where}")
    if worst > float(largest):
        sys.exit("PEFT's merge is another model")


if __name__ == "__main__":
    main(*sys.argv[1:])
