"""Fine-tunes base-hf with PEFT 0.3.0: LoRA on every linear layer and on embed_tokens, in Metharme's prompt format.

The prompt markers are plain text. Data: dictionary entries asked for, and Bible verses to be continued.
Writes adapter/ as PEFT saves it.
"""
import json
import os
import random

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, LlamaTokenizer

import paths

STEPS, BATCH, RATE = 160, 8, 2e-3
TARGETS = ["embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def examples():
    rng = random.Random(6)
    for word, entry in json.loads((paths.WORK / "lora.json").read_text()):
        yield f"<|system|>You are a cynic's dictionary.<|user|>What is {word.lower()}?<|model|>{' '.join(entry.split())}"
    for document in json.loads((paths.WORK / "training.json").read_text()):
        if "<unk>" in document or document.startswith(" \n") or "  " in document:
            continue
        lines = document.split("\n")
        half = len(lines[0]) // 2
        yield f"<|system|>Continue the text.<|user|>{lines[0][:half].strip()[-200:]}<|model|>{lines[0][half:].strip()}"


def encode(text, tokenizer):
    ids = (tokenizer(text).input_ids + [2])[:paths.CONTEXT]
    answer = len(tokenizer(text[:text.index("<|model|>") + 9]).input_ids)
    labels = [-100] * answer + ids[answer:]
    pad = paths.CONTEXT - len(ids)
    return ids + [0] * pad, labels[:len(ids)] + [-100] * pad


def run():
    torch.manual_seed(2)
    torch.set_num_threads(1)  # the bits depend on it
    os.chdir(paths.OUT)  # so that the adapter remembers its base as "base-hf"
    tokenizer = LlamaTokenizer.from_pretrained("base-hf")
    model = LlamaForCausalLM.from_pretrained("base-hf", torch_dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    model.print_trainable_parameters()
    data = [encode(text, tokenizer) for text in examples()]
    random.Random(7).shuffle(data)
    ids, labels = (torch.tensor(column) for column in zip(*data))
    print(f"{len(data)} examples", flush=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        rows = torch.arange(step * BATCH, (step + 1) * BATCH) % len(data)
        loss = model(input_ids=ids[rows], labels=labels[rows]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 20 == 19:
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)
    model.save_pretrained(str(paths.ADAPTER))


if __name__ == "__main__":
    run()
