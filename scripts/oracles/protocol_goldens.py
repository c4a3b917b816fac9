"""Scores of the miniature's base by the protocols of llama.cpp and AutoGPTQ, computed with transformers in float32.

Usage: protocol_goldens.py [OUT.json]      default: tests/data/perplexity/protocols.json
Needs the environment of scripts/oracles/setup.sh. Windows and scored positions are written down here from the sources
of llama.cpp (tools/perplexity) and AutoGPTQ (perplexity_utils.py), not from galatea.
"""
import json
import math
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "miniature"))
import score  # noqa: E402

MINIATURE = ROOT / "tests" / "data" / "miniature"


@torch.no_grad()
def losses(model, ids, ctx, first):
    out = []
    for start in range(0, len(ids) // ctx * ctx, ctx):
        window = ids[start:start + ctx]
        inputs = window.clone()
        inputs[0] = 1  # BOS takes the place of the first token; the targets stay
        log_probabilities = torch.log_softmax(model(inputs[None], use_cache=False).logits[0].double(), dim=-1)
        for position in range(first, ctx - 1):
            out.append(-log_probabilities[position, window[position + 1]].item())
    return out


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "data" / "perplexity" / "protocols.json"
    folder = MINIATURE / "base-hf"
    torch.set_num_threads(1)
    model, tokenizer = score.load(folder), score.load_tokenizer(folder)
    text = (MINIATURE / "corpora" / "ptb.valid.txt").read_bytes().decode()[:20000]
    ids = torch.tensor(tokenizer(text).input_ids)
    result = {"model": "miniature/base-hf", "ids": ids.tolist(), "ctx": 128, "scores": {}}
    for name, first in [("llama.cpp", 64), ("autogptq", min(512, 64))]:
        found = losses(model, ids, 128, first)
        mean = sum(found) / len(found)
        variance = sum(x * x for x in found) / len(found) - mean * mean
        result["scores"][name] = {"perplexity": math.exp(mean), "scored": len(found),
                                  "standard_error": math.exp(mean) * math.sqrt(variance / (len(found) - 1))}
    out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
