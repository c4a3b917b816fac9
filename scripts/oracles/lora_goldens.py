"""What PEFT saves and merges, one case for each feature of its LoRA.

Usage: lora_goldens.py OUTPUT.json [CASE...]        (requirements-peft.txt, or requirements-2023.txt for the cases of 2023)

A case is an adapter configuration. PEFT makes the adapter and saves it; its values, like those of the base, follow from
a formula that the test repeats, so that the golden holds names and shapes as PEFT wrote them, the configuration as PEFT
wrote it, and digests of what PEFT's merge_and_unload made of the base in each type. sample_values.py has the formula.

"exact TYPE" (PEFT of today) is PEFT's merge of model and adapter in float64, each value rounded once to TYPE.
"""
import hashlib
import json
import os
import sys
import tempfile

import numpy as np
import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from sample_values import filled

MODERN = not hasattr(peft.tuners.lora, "LoraLayer") or int(peft.__version__.split(".")[1]) > 4
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# name: (arguments of LoraConfig, what else)
CASES = {
    "linear": (dict(r=4, lora_alpha=6, target_modules=LINEAR), {}),
    "one_rank": (dict(r=1, lora_alpha=3, target_modules=["q_proj", "lm_head"]), {}),
    "half_adapter": (dict(r=3, lora_alpha=7, target_modules=["v_proj", "down_proj"]), {"adapter": torch.float16}),
    "bfloat16_adapter": (dict(r=3, lora_alpha=7, target_modules=["v_proj", "down_proj"]), {"adapter": torch.bfloat16}),
    "embedding": (dict(r=4, lora_alpha=6, target_modules=["embed_tokens", "q_proj"]), {}),
    "fan_in_fan_out": (dict(r=4, lora_alpha=8, target_modules=["k_proj"], fan_in_fan_out=True), {}),
    "regex": (dict(r=2, lora_alpha=4, target_modules=r".*\.1\.(mlp\.(up|gate)_proj|self_attn\.[qk]_proj)"), {}),
    "layers": (dict(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], layers_to_transform=[1],
                    layers_pattern="layers"), {}),
    "bias_all": (dict(r=2, lora_alpha=4, target_modules=["q_proj"], bias="all"), {"bias": True}),
    "bias_lora_only": (dict(r=2, lora_alpha=4, target_modules=["q_proj"], bias="lora_only"), {"bias": True}),
    "modules_to_save": (dict(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head", "norm"]), {}),
    "rslora": (dict(r=3, lora_alpha=4, target_modules=["q_proj"], use_rslora=True), {"modern": True}),
    "patterns": (dict(r=4, lora_alpha=8, target_modules=LINEAR, rank_pattern={r"layers\.0\..*_proj": 2, "q_proj": 3},
                      alpha_pattern={"down_proj": 5, "v_proj": 3}), {"modern": True}),
    "all_linear": (dict(r=2, lora_alpha=4, target_modules="all-linear"), {"modern": True}),
    "exclude": (dict(r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=["down_proj", "k_proj"]),
                {"modern": True}),
    "lora_bias": (dict(r=2, lora_alpha=5, target_modules=["q_proj"], lora_bias=True), {"modern": True, "bias": True}),
    "dora": (dict(r=4, lora_alpha=6, target_modules=LINEAR, use_dora=True), {"modern": True}),
    "dora_embedding": (dict(r=4, lora_alpha=6, target_modules=["embed_tokens", "o_proj"], use_dora=True),
                       {"modern": True}),
    "tokens": (dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                    trainable_token_indices={"embed_tokens": [7, 3, 40]}), {"modern": True}),
    "replication": (dict(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"],
                         layer_replication=[[0, 2], [1, 2], [0, 1]]), {"modern": True, "unshare": True}),
    "parameters": (dict(r=2, lora_alpha=4, target_modules=["q_proj"],
                        target_parameters=["mlp.up_proj.weight", "v_proj.weight"]), {"modern": True}),
    "resized": (dict(r=2, lora_alpha=4, target_modules=["q_proj"]), {"modern": True, "vocabulary": 50}),
    "olora_converted": (dict(r=4, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights="olora"),
                        {"modern": True, "converted": True}),
    "pissa_converted": (dict(r=4, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights="pissa"),
                        {"modern": True, "converted": True}),
    "corda_converted": (dict(r=4, lora_alpha=4, target_modules=["q_proj", "up_proj"], init_lora_weights="corda"),
                        {"modern": True, "converted": True, "samples": True}),
}


def fill(name, tensor):
    tensor.data.copy_(torch.from_numpy(filled(name, tuple(tensor.shape))))


def base_model(dtype, bias=False):
    config = LlamaConfig(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=4, max_position_embeddings=64, tie_word_embeddings=False,
                         pad_token_id=0, **({"attention_bias": bias} if bias else {}))
    model = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        fill(name, parameter)
    return model.to(dtype)


def digest(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]


def rounded_once(tensor, dtype):
    """float64 to `dtype`; torch would go to a half by way of float32 and round twice."""
    value = tensor.detach().contiguous().numpy()
    if dtype == torch.float32:
        return torch.from_numpy(value.astype(np.float32))
    if dtype == torch.float16:
        return torch.from_numpy(value.astype(np.float16))
    single = value.astype(np.float32)
    bits = single.view(np.uint32).copy()
    # To odd: towards zero, and the last bit set where something was cut off.
    bits -= (np.abs(single.astype(np.float64)) > np.abs(value)).astype(np.uint32)
    bits |= (bits.view(np.float32).astype(np.float64) != value).astype(np.uint32)
    return torch.from_numpy(bits.view(np.float32)).to(torch.bfloat16)


def save_adapter(folder, arguments, how):
    model = base_model(torch.float32, how.get("bias", False))
    if "vocabulary" in how:
        model.resize_token_embeddings(how["vocabulary"], mean_resizing=False)
    config = LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **arguments)
    if how.get("samples"):
        from peft.tuners.lora.config import CordaConfig
        from peft.tuners.lora.corda import preprocess_corda
        config.corda_config = CordaConfig(corda_method="kpm", verbose=False)
        preprocess_corda(model, config, run_model=lambda: model(torch.arange(48).reshape(1, 48)))
    model = get_peft_model(model, config)
    save = {}
    if how.get("converted"):
        model.save_pretrained(folder + "/start", safe_serialization=True)
        save["path_initial_model_for_weight_conversion"] = folder + "/start"
    if "vocabulary" in how:
        save["save_embedding_layers"] = True
    names = {name for name, parameter in model.named_parameters()
             if parameter.requires_grad or "vocabulary" in how and ("embed_tokens" in name or "lm_head" in name)}
    for name, parameter in model.named_parameters():
        if name in names:
            fill("adapter " + name, parameter)
    model.save_pretrained(folder, **({"safe_serialization": True} if MODERN else {}), **save)


def load_tensors(folder):
    if os.path.exists(folder + "/adapter_model.safetensors"):
        from safetensors.torch import load_file
        return load_file(folder + "/adapter_model.safetensors")
    return torch.load(folder + "/adapter_model.bin")


def store_tensors(folder, tensors):
    if os.path.exists(folder + "/adapter_model.safetensors"):
        from safetensors.torch import save_file
        save_file(tensors, folder + "/adapter_model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(tensors, folder + "/adapter_model.bin")


def merge_exactly(folder, how):
    """Model and adapter in float64: for each type, the digest of all tensors rounded to it once."""
    model = base_model(torch.float64, how.get("bias", False))
    if "vocabulary" in how:
        model.resize_token_embeddings(how["vocabulary"], mean_resizing=False)
    model = PeftModel.from_pretrained(model, folder).double()
    if how.get("unshare"):
        unshare(model)
    state = model.merge_and_unload().state_dict()
    return {dtype_name: hashlib.sha256("".join(digest(rounded_once(tensor, dtype)) for name, tensor in sorted(state.items())
                                               if "inv_freq" not in name).encode()).hexdigest()[:16]
            for dtype_name, dtype in DTYPES.items()}


def unshare(model):
    # Copies of a layer share their weights, and merging adds the changes of all copies to the one they share: not what
    # the model computes. Each gets its own here.
    for module in model.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[key] = torch.nn.Parameter(parameter.data.clone(), requires_grad=False)


def merge(folder, dtype, how, safe):
    model = base_model(dtype, how.get("bias", False))
    before = {name: digest(tensor) for name, tensor in model.state_dict().items()}
    if "vocabulary" in how:
        model.resize_token_embeddings(how["vocabulary"], mean_resizing=False)
    model = PeftModel.from_pretrained(model, folder)
    if how.get("unshare"):
        unshare(model)
    merged = model.merge_and_unload(safe_merge=True) if safe else model.merge_and_unload()
    after = {name: digest(tensor) for name, tensor in merged.state_dict().items() if "inv_freq" not in name}
    return {name: value for name, value in after.items() if before.get(name) != value}, after


def run(name, arguments, how):
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(folder, arguments, how)
        # The values are set anew under the names in the file, so that the test needs nothing but those.
        tensors = load_tensors(folder)
        for key, tensor in tensors.items():
            tensor = tensor.clone()
            fill(key, tensor)
            tensors[key] = tensor.to(how.get("adapter", torch.float32))
        store_tensors(folder, tensors)
        config = json.load(open(folder + "/adapter_config.json"))
        config["base_model_name_or_path"] = None
        result = {"config": config, "bias": how.get("bias", False),
                  "type": {torch.float16: "F16", torch.bfloat16: "BF16"}.get(how.get("adapter"), "F32"),
                  "tensors": {key: list(tensor.shape) for key, tensor in sorted(tensors.items())}, "merged": {}}
        for dtype_name, dtype in DTYPES.items():
            # PEFT 0.4 rounds an embedding's A, B and product to the model's type; before and after it did, or does, not.
            if not MODERN and dtype != torch.float32 and "embed_tokens" in arguments["target_modules"]:
                continue
            for safe in [False, True] if MODERN and dtype != torch.float32 else [False]:
                changed, after = merge(folder, dtype, how, safe)
                whole = hashlib.sha256("".join(value for _, value in sorted(after.items())).encode()).hexdigest()[:16]
                result["merged"][dtype_name + (" safe" if safe else "")] = {"all": whole}
                if dtype_name == "F32":
                    result["merged"][dtype_name]["changed"] = changed
        if MODERN:
            result["exact"] = merge_exactly(folder, how)
        return result


def main(path, *names):
    cases = {}
    for name, (arguments, how) in CASES.items():
        if (names and name not in names) or (how.get("modern") and not MODERN):
            continue
        if peft.__version__.startswith("0.3.") and "embed_tokens" in arguments["target_modules"]:
            continue  # 0.3.0 saves such adapters and cannot merge them
        if peft.__version__.startswith("0.3.") and "layers_to_transform" in arguments:
            continue
        how["bias"] = how.get("bias", False) and MODERN  # before, a LLaMA had no biases
        print(name, flush=True)
        torch.manual_seed(1)
        cases[name] = run(name, arguments, how)
    with open(path, "w") as out:
        json.dump({"peft": peft.__version__, "torch": torch.__version__, "cases": cases}, out, indent=None,
                  separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
