"""A KL base of the miniature's base, and the divergence of the merged miniature from it, computed with transformers
in float32 and numpy.

Usage: kl_goldens.py   (in the environment of scripts/oracles/setup.sh)
Writes tests/data/perplexity/base.kld, laid out as llama-perplexity --kl-divergence-base lays it out (written down
here from tools/perplexity of llama.cpp, not from galatea), and kl.json beside it. The merged model's logits are
those of the base with its head moved a little, so that no second checkpoint is needed: every head row times
1 + 0.05 sin(row).
"""
import json
import math
import pathlib
import struct
import sys

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "miniature"))
import score  # noqa: E402

OUT = ROOT / "tests" / "data" / "perplexity"
CTX, CHUNKS = 64, 3


def log_softmax(logits):
    logits = logits.astype(np.float64)
    largest = logits.max()
    return logits - largest - math.log(np.exp(logits - largest).sum())


def record(logits):
    logits = logits.astype(np.float32)
    largest = logits.max()
    smallest = max(logits.min(), largest - np.float32(16))
    log_sum = np.float32(math.log(float(np.exp(logits - largest).astype(np.float64).sum())))
    scale = np.float32((largest - smallest) / np.float32(65535))
    q = np.where(logits > smallest, np.rint((logits - smallest) * (np.float32(1) / scale)), 0).astype("<u2")
    if len(q) % 2:
        q = np.append(q, np.uint16(0))
    return struct.pack("<ff", scale, smallest - largest - log_sum) + q.astype("<u2").tobytes()


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    document = json.loads((OUT / "protocols.json").read_text())
    ids = np.array(document["ids"][:CTX * CHUNKS], dtype="<i4")
    model = score.load(ROOT / "tests" / "data" / "miniature" / "base-hf")
    vocab = model.config.vocab_size
    head = model.lm_head.weight.clone()
    moved = head * (1 + 0.05 * torch.sin(torch.arange(vocab, dtype=torch.float32)))[:, None]
    out = [b"_logits_", struct.pack("<iii", CTX, vocab, CHUNKS), ids.tobytes()]
    divergences, changes, same, base_losses, losses = [], [], [], [], []
    for chunk in range(CHUNKS):
        window = ids[chunk * CTX:(chunk + 1) * CTX].copy()
        targets = window.copy()
        window[0] = 1
        states = model.model(torch.tensor(window[None].astype(np.int64)), use_cache=False)[0][0]
        base = (states @ head.T).numpy()
        other = (states @ moved.T).numpy()
        for position in range(CTX // 2, CTX - 1):
            out.append(record(base[position]))
            p, q, target = log_softmax(base[position]), log_softmax(other[position]), targets[position + 1]
            divergences.append(float((np.exp(p) * (p - q)).sum()))
            changes.append(float(np.exp(q[target]) - np.exp(p[target])))
            same.append(int(p.argmax() == q.argmax()))
            base_losses.append(float(-p[target]))
            losses.append(float(-q[target]))
    (OUT / "base.kld").write_bytes(b"".join(out))
    d, n = np.array(divergences), len(divergences)
    result = {"ctx": CTX, "chunks": CHUNKS, "count": n, "mean": d.mean(), "mean_error": d.std(ddof=1) / math.sqrt(n),
              "median": float(np.median(d)), "maximum": d.max(), "percentile_90": float(np.percentile(d, 90)),
              "same_top": float(np.mean(same)), "rms_change": float(np.sqrt(np.mean(np.square(changes)))),
              "mean_change": float(np.mean(changes)), "base_perplexity": math.exp(np.mean(base_losses)),
              "perplexity": math.exp(np.mean(losses))}
    (OUT / "kl.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
