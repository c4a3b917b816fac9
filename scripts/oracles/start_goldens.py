"""Adapters that start from matrices taken out of the base (PiSSA, OLoRA, CorDA, LoRA-GA), made, converted and merged by PEFT.

Usage: start_goldens.py FOLDER        (requirements-starts.txt)

FOLDER/NAME is the adapter as PEFT saves it with path_initial_model_for_weight_conversion; FOLDER/starts.json holds for
each NAME the configuration as PEFT saves it without, and digests of what PEFT's merge_and_unload of the converted
adapter made of the base of lora_goldens.py in each type. Before it is written, that merge is compared with the model
that was trained, whose base PEFT had changed.
"""
import hashlib
import json
import os
import shutil
import sys
import tempfile

import peft
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from lora_goldens import DTYPES, base_model, digest, values

TOKENS = torch.arange(24).reshape(1, 24) * 7 % 48


def run_model(model):
    model(TOKENS)


def train_step(model):
    model(TOKENS, labels=TOKENS).loss.backward()


def corda(method):
    def arguments():
        from peft.tuners.lora.config import CordaConfig
        return {"corda_config": CordaConfig(corda_method=method)}

    def prepare(model, config):
        from peft.tuners.lora.corda import preprocess_corda
        preprocess_corda(model, config, run_model=lambda: run_model(model))
    return "corda", arguments, prepare


def lora_ga(direction, scale):
    def arguments():
        from peft.tuners.lora.config import LoraGAConfig
        return {"lora_ga_config": LoraGAConfig(direction=direction, scale=scale)}

    def prepare(model, config):
        from peft.tuners.lora.loraga import preprocess_loraga
        preprocess_loraga(model, config, lambda: train_step(model))
    return "lora_ga", arguments, prepare


STARTS = {
    "pissa": ("pissa", dict, None),
    "pissa_niter": ("pissa_niter_4", dict, None),
    "olora": ("olora", dict, None),
    "corda_ipm": corda("ipm"),
    "corda_kpm": corda("kpm"),
    "lora_ga": lora_ga("ArB2r", "stable"),
    "lora_ga_unit": lora_ga("ArBr", "unit"),
}


def configuration(folder):
    config = json.load(open(folder + "/adapter_config.json"))
    config["base_model_name_or_path"] = None
    return config


def run(name, start, arguments, prepare, out):
    torch.manual_seed(1)
    model = base_model(torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, r=2, lora_alpha=3, target_modules=["q_proj", "up_proj"],
                        init_lora_weights=start, **arguments())
    if prepare:
        prepare(model, config)
    model = get_peft_model(model, config)
    with tempfile.TemporaryDirectory() as folder:
        # The start as such has to say that it is plain, else PEFT would take it out of the base once more.
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(folder + "/start")
        model.peft_config["default"].init_lora_weights = start
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data += torch.from_numpy(values("step " + key, parameter.numel())).reshape(parameter.shape) / 8
        model.save_pretrained(folder + "/as_is")
        model.save_pretrained(folder + "/converted", path_initial_model_for_weight_conversion=folder + "/start")
        result = {"as_is": configuration(folder + "/as_is"), "merged": {}}
        shutil.copytree(folder + "/converted", out, ignore=shutil.ignore_patterns("*.md"))
    config = configuration(out)
    with open(out + "/adapter_config.json", "w") as file:
        json.dump(config, file, indent=1, sort_keys=True)
        file.write("\n")
    trained = model.merge_and_unload().state_dict()
    for dtype_name, dtype in DTYPES.items():
        merged = PeftModel.from_pretrained(base_model(dtype), out).merge_and_unload().state_dict()
        digests = {key: digest(tensor) for key, tensor in merged.items() if "inv_freq" not in key}
        result["merged"][dtype_name] = hashlib.sha256("".join(
            value for _, value in sorted(digests.items())).encode()).hexdigest()[:16]
        if dtype == torch.float32:
            apart = max((merged[key] - trained[key]).abs().max().item() for key in merged)
            moved = max((merged[key] - tensor).abs().max().item() for key, tensor in base_model(dtype).state_dict().items())
            print(f"{name}: moved {moved:.3g}, {apart:.3g} apart from the trained model", flush=True)
            assert apart < 2e-6 < 0.01 < moved
    return result


def main(folder):
    os.makedirs(folder, exist_ok=True)
    starts = {}
    for name, (start, arguments, prepare) in STARTS.items():
        shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
        starts[name] = run(name, start, arguments, prepare, f"{folder}/{name}")
    with open(folder + "/starts.json", "w") as out:
        json.dump({"peft": peft.__version__, "torch": torch.__version__, "starts": starts}, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
