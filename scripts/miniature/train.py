"""Trains the base model, on one sequence layout for all: BOS document EOS BOS document ... in windows of 256.

Writes WORK/base.pt (state dict, float16) and WORK/training-scores.json: perplexity on held-back training
documents, and what a unigram model of the training tokens scores on the same tokens.
"""
import json
import math
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

import paths

STEPS, BATCH, PEAK_RATE, WARMUP = 800, 8, 3e-3, 40


def encode(documents, tokenizer):
    ids = []
    for text in documents:
        ids += tokenizer(text).input_ids + [2]
    return torch.tensor(ids)


def windows(ids):
    n = len(ids) // paths.CONTEXT
    return ids[:n * paths.CONTEXT].view(n, paths.CONTEXT)


def perplexity(model, batches):
    with torch.no_grad():
        losses = [model(b, labels=b).loss.item() for b in batches.split(16)]
    return math.exp(sum(losses) / len(losses))


def unigram_perplexity(training, validation):
    counts = torch.bincount(training, minlength=paths.VOCAB).double() + 1
    return torch.exp(-(counts / counts.sum()).log()[validation.view(-1)].mean()).item()


def rate(step):
    if step < WARMUP:
        return PEAK_RATE * (step + 1) / WARMUP
    return PEAK_RATE * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))))


def run():
    torch.manual_seed(1)
    torch.set_num_threads(1)  # the bits depend on it
    tokenizer = LlamaTokenizer(str(paths.META / "tokenizer.model"))
    documents = json.loads((paths.WORK / "training.json").read_text())
    held_back = len(documents) // 40
    validation = windows(encode(documents[:held_back], tokenizer))
    ids = encode(documents[held_back:], tokenizer)
    training = windows(ids)
    print(f"{ids.numel()} training tokens, {validation.numel()} held back", flush=True)

    config = LlamaConfig(vocab_size=paths.VOCAB, hidden_size=paths.HIDDEN, intermediate_size=paths.INTERMEDIATE,
                         num_hidden_layers=paths.LAYERS, num_attention_heads=paths.HEADS, rms_norm_eps=1e-6)
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.1)
    order = torch.cat([torch.randperm(len(training)) for _ in range(STEPS * BATCH // len(training) + 1)])
    start = time.time()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        batch = training[order[step * BATCH:(step + 1) * BATCH]]
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 49:
            print(f"step {step + 1} loss {loss.item():.3f} {time.time() - start:.0f}s", flush=True)

    model.half()
    torch.save({k: v for k, v in model.state_dict().items() if "inv_freq" not in k}, paths.WORK / "base.pt")
    model.float()
    scores = {"validation_perplexity": perplexity(model, validation),
              "unigram_perplexity": unigram_perplexity(ids, validation),
              "validation_tokens": validation.numel(), "training_tokens": ids.numel(),
              "steps": STEPS, "tokens_per_step": BATCH * paths.CONTEXT}
    (paths.WORK / "training-scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(scores)


if __name__ == "__main__":
    run()
