"""Tiny random models of the LLaMA family and their logits, computed by transformers in float32.

Usage: model_goldens.py   (needs transformers==4.45.2 with torch, safetensors)
Writes tests/data/models/weights.safetensors (the same random weights for all), CASE.config.json and logits.json.
"""
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "models"
SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
LENGTH = 60
CASES = {
    "llama2": (LlamaConfig, dict(max_position_embeddings=64, rms_norm_eps=1e-5)),
    "theta": (LlamaConfig, dict(max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=500000.0)),
    "linear": (LlamaConfig, dict(max_position_embeddings=64, rope_scaling={"type": "linear", "factor": 2.5})),
    "dynamic": (LlamaConfig, dict(max_position_embeddings=32, rope_scaling={"rope_type": "dynamic", "factor": 2.0})),
    "llama3": (LlamaConfig, dict(max_position_embeddings=64, rope_theta=100.0, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 48})),
    "smollm2": (LlamaConfig, dict(max_position_embeddings=64, rope_theta=100000.0, tie_word_embeddings=True,
                                  rms_norm_eps=1e-5)),
    "mistral": (MistralConfig, dict(max_position_embeddings=64, sliding_window=16, rms_norm_eps=1e-5)),
    "mistral-open": (MistralConfig, dict(max_position_embeddings=64, sliding_window=None)),
}


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.manual_seed(7)
    OUT.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, value in LlamaForCausalLM(LlamaConfig(**SIZES)).state_dict().items():
        if value.dim() == 1:
            weights[name] = 1 + 0.1 * torch.randn_like(value)
        else:
            weights[name] = torch.randn_like(value) * 1.5 / value.shape[1] ** 0.5
    save_file({name: value.contiguous() for name, value in weights.items()}, OUT / "weights.safetensors",
              metadata={"format": "pt"})
    ids = torch.randint(3, SIZES["vocab_size"], (LENGTH,))
    golden = {"ids": ids.tolist(), "positions": [0, 7, 31, LENGTH - 1], "cases": {}}
    for name, (kind, options) in CASES.items():
        config = kind(**SIZES, **options)
        model = (LlamaForCausalLM if kind is LlamaConfig else MistralForCausalLM)(config).eval()
        model.load_state_dict(weights)
        model.tie_weights()
        if config.tie_word_embeddings:
            model.model.embed_tokens.weight.copy_(weights["model.embed_tokens.weight"])
        logits = model(ids[None], use_cache=False).logits[0]
        config.architectures = [type(model).__name__]
        document = json.loads(config.to_json_string(use_diff=False))
        (OUT / f"{name}.config.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        golden["cases"][name] = [[float(f"{x:.7g}") for x in logits[p].tolist()] for p in golden["positions"]]
    (OUT / "logits.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
