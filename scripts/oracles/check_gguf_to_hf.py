#!/usr/bin/env python3
"""Checks a Hugging Face folder that `galatea convert MODEL.gguf FOLDER --to safetensors` wrote, against other readers.

    check_gguf_to_hf.py MODEL.gguf FOLDER [TOKENIZER.model TEXT_FILE]

Weights: gguf-py decodes MODEL.gguf, the rotary rows of q and k are brought back to halves, the values rounded to the
type that FOLDER has; all must be equal bit for bit. Configuration and weights are loaded by LlamaForCausalLM, which
must miss nothing. Tokenizer: sentencepiece loads FOLDER/tokenizer.model and gives every line of TEXT_FILE the ids that
TOKENIZER.model (what the GGUF was made with) gives; so do LlamaTokenizer and LlamaTokenizerFast from FOLDER, and the
added tokens have the ids that MODEL.gguf gives them. Prints what differs; exit code 1 when something does.

Checked with gguf 0.19.0, torch 1.13.1, transformers 4.28.1, sentencepiece 0.1.99.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH, GGUFReader, get_tensor_name_map
from gguf.quants import dequantize
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor
from transformers import LlamaForCausalLM, LlamaTokenizer, LlamaTokenizerFast

faults = []


def expect(what, found, wanted):
    if found != wanted:
        faults.append(f"{what}: found {str(found)[:200]}, expected {str(wanted)[:200]}")


def halves(weight, heads):
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).transpose(1, 2).reshape(rows, cols)


def check_weights(reader, folder, config):
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    stored = {n: t for file in sorted(folder.glob("*.safetensors")) for n, t in load_file(file).items()}
    by_gguf = {names.get_name(n, try_suffixes=(".weight",)): n for n in stored if not n.endswith("inv_freq")}
    expect("names", sorted(by_gguf), sorted(t.name for t in reader.tensors))
    for tensor in reader.tensors:
        name = by_gguf.get(tensor.name)
        if name is None:
            continue
        shape = [int(n) for n in reversed(tensor.shape)]
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape).copy())
        heads = config["num_attention_heads"]
        if name.endswith("q_proj.weight"):
            values = halves(values, heads)
        if name.endswith("k_proj.weight"):
            values = halves(values, config.get("num_key_value_heads", heads))
        found = stored[name]
        expect(f"shape of {name}", list(found.shape), shape)
        if list(found.shape) == shape and not torch.equal(found, values.to(found.dtype)):
            faults.append(f"{name} ({tensor.tensor_type.name}): values differ")
    return len(stored)


def check_tokenizer(reader, folder, original, text):
    ours, theirs = (SentencePieceProcessor(model_file=str(f)) for f in (folder / "tokenizer.model", original))
    expect("pieces", ours.vocab_size(), theirs.vocab_size())
    for i in range(min(ours.vocab_size(), theirs.vocab_size())):
        expect(f"piece {i}", (ours.IdToPiece(i), ours.GetScore(i), ours.IsControl(i), ours.IsByte(i), ours.IsUnknown(i)),
               (theirs.IdToPiece(i), theirs.GetScore(i), theirs.IsControl(i), theirs.IsByte(i), theirs.IsUnknown(i)))
    slow, fast = LlamaTokenizer.from_pretrained(folder), LlamaTokenizerFast.from_pretrained(folder)
    lines = text.read_text(encoding="utf-8").splitlines()
    for line in lines:
        wanted = theirs.EncodeAsIds(line)
        expect("ids by sentencepiece", ours.EncodeAsIds(line), wanted)
        if not any(mark in line for mark in ("<unk>", "<s>", "</s>")) and line == line.strip():
            expect("ids by LlamaTokenizer", slow.encode(line, add_special_tokens=False), wanted)
            expect("ids by LlamaTokenizerFast", fast.encode(line, add_special_tokens=False), wanted)
        expect("text again", ours.DecodeIds(wanted), theirs.DecodeIds(wanted))
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    for id in range(theirs.vocab_size(), len(tokens)):
        if tokens[id] != f"[PAD{id}]":
            for tokenizer in (slow, fast):
                expect(f"id of {tokens[id]}", tokenizer.encode(tokens[id], add_special_tokens=False), [id])
    return len(lines)


def main():
    reader, folder = GGUFReader(sys.argv[1]), Path(sys.argv[2])
    config = json.loads((folder / "config.json").read_text())
    tensors = check_weights(reader, folder, config)
    if "num_key_value_heads" not in config:  # transformers 4.28 does not know them
        _, report = LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
        missing = [name for name in report["missing_keys"] if not name.endswith("inv_freq")]
        expect("weights that LlamaForCausalLM misses", missing, [])
        expect("weights that LlamaForCausalLM does not know", report["unexpected_keys"], [])
    lines = check_tokenizer(reader, folder, Path(sys.argv[3]), Path(sys.argv[4])) if len(sys.argv) > 4 else 0
    for fault in faults[:20]:
        print("differs:", fault)
    print(f"{tensors} tensors, {lines} lines of text, {len(faults)} differences")
    return 1 if faults else 0


sys.exit(main())
