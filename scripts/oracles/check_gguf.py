#!/usr/bin/env python3
"""Reads a GGUF file with gguf-py and checks it against the Hugging Face checkpoint that it was made from.

    check_gguf.py MODEL.gguf HF_FOLDER      HF_FOLDER: config.json, pytorch_model*.bin, tokenizer.model

Names come from gguf-py's own table, the rotary permutation and vocabulary from the rules of llama.cpp's converter,
values from torch: F32, F16 and BF16 must be equal bit for bit, quantized types must lie within half a step or so
(relative error below 0.12 for 4 bits, 0.06 for 5, 0.01 for 8). Prints what it found; exit code 1 when something differs.

Needs gguf, numpy, torch, sentencepiece (checked with gguf 0.19.0, torch 1.13.1, sentencepiece 0.1.99).
"""
import glob
import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH, GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, Keys, TokenType, get_tensor_name_map
from gguf.quants import dequantize
from sentencepiece import SentencePieceProcessor

faults = []


def expect(what, found, wanted):
    if found != wanted:
        faults.append(f"{what}: found {found!r}, expected {wanted!r}")


def permuted(weight, heads):
    """Half-split rotary rows to interleaved ones."""
    rows, cols = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, cols).transpose(1, 2).reshape(rows, cols)


def hf_tensors(folder, config):
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    for part in sorted(glob.glob(str(folder / "pytorch_model*.bin"))):
        for name, weight in torch.load(part, map_location="cpu").items():
            if name.endswith("rotary_emb.inv_freq"):
                continue
            if name.endswith("q_proj.weight"):
                weight = permuted(weight, heads)
            if name.endswith("k_proj.weight"):
                weight = permuted(weight, kv_heads)
            yield names.get_name(name, try_suffixes=(".weight",)), weight


def check_metadata(reader, config):
    def field(key):
        found = reader.get_field(key.format(arch="llama"))
        return None if found is None else found.contents()

    expect("architecture", field(Keys.General.ARCHITECTURE), "llama")
    expect("quantization version", field(Keys.General.QUANTIZATION_VERSION), 2)
    for key, name in ((Keys.LLM.BLOCK_COUNT, "num_hidden_layers"), (Keys.LLM.EMBEDDING_LENGTH, "hidden_size"),
                      (Keys.LLM.FEED_FORWARD_LENGTH, "intermediate_size"), (Keys.LLM.VOCAB_SIZE, "vocab_size"),
                      (Keys.LLM.CONTEXT_LENGTH, "max_position_embeddings"),
                      (Keys.Attention.HEAD_COUNT, "num_attention_heads")):
        expect(key, field(key), config[name])
    heads = config["num_attention_heads"]
    expect("kv heads", field(Keys.Attention.HEAD_COUNT_KV), config.get("num_key_value_heads", heads))
    expect("rope dimensions", field(Keys.Rope.DIMENSION_COUNT), config["hidden_size"] // heads)
    expect("epsilon", np.float32(field(Keys.Attention.LAYERNORM_RMS_EPS)), np.float32(config["rms_norm_eps"]))
    expect("rope base", field(Keys.Rope.FREQ_BASE), config.get("rope_theta", 10000.0))
    return field


def check_vocabulary(field, folder, config):
    pieces = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    kind = lambda i: (TokenType.UNKNOWN if pieces.IsUnknown(i) else TokenType.CONTROL if pieces.IsControl(i)
                      else TokenType.UNUSED if pieces.IsUnused(i) else TokenType.BYTE if pieces.IsByte(i)
                      else TokenType.NORMAL)
    count = pieces.vocab_size()
    expect("tokenizer model", field(Keys.Tokenizer.MODEL), "llama")
    expect("number of tokens", len(field(Keys.Tokenizer.LIST)), config["vocab_size"])
    expect("tokens", field(Keys.Tokenizer.LIST)[:count], [pieces.IdToPiece(i) for i in range(count)])
    expect("scores", field(Keys.Tokenizer.SCORES)[:count], [pieces.GetScore(i) for i in range(count)])
    expect("token types", field(Keys.Tokenizer.TOKEN_TYPE)[:count], [int(kind(i)) for i in range(count)])
    expect("bos", field(Keys.Tokenizer.BOS_ID), config["bos_token_id"])
    expect("eos", field(Keys.Tokenizer.EOS_ID), config["eos_token_id"])
    expect("add bos", field(Keys.Tokenizer.ADD_BOS), True)


def check_tensor(found, weight):
    kind = found.tensor_type
    values = dequantize(found.data, kind).astype(np.float32)
    exact = weight.float().numpy()
    expect(f"shape of {found.name}", values.shape, exact.shape)
    if values.shape != exact.shape:
        return 0.0
    if kind == GGMLQuantizationType.F16:
        exact = weight.half().float().numpy()
    if kind == GGMLQuantizationType.BF16:
        exact = weight.bfloat16().float().numpy()
    error = float(np.sqrt(np.square(values - exact).mean() / max(np.square(exact).mean(), 1e-30)))
    block, size = GGML_QUANT_SIZES[kind]
    limit = 0.0 if block == 1 else 4 * 2 ** (-8 * size / block)  # a Gaussian cannot be coded better than 2 ** -bits
    if error > limit:
        faults.append(f"{found.name} as {kind.name}: relative error {error:.3e}, at most {limit}")
    return error


def main():
    reader = GGUFReader(sys.argv[1])
    folder = Path(sys.argv[2])
    config = json.loads((folder / "config.json").read_text())
    check_vocabulary(check_metadata(reader, config), folder, config)
    tensors = {t.name: t for t in reader.tensors}
    wanted = {name: weight for name, weight in hf_tensors(folder, config) if weight is not None}
    expect("names of tensors", sorted(tensors), sorted(n + ("" if n.endswith(".weight") else ".weight") for n in wanted))
    worst = {}
    for name, weight in wanted.items():
        found = tensors.get(name if name.endswith(".weight") else name + ".weight")
        if found is None:
            continue
        if weight.dim() == 1:
            expect(f"type of {found.name}", found.tensor_type, GGMLQuantizationType.F32)
        error = check_tensor(found, weight)
        worst[found.tensor_type.name] = max(worst.get(found.tensor_type.name, 0.0), error)
    for kind, error in sorted(worst.items()):
        print(f"{kind:5} worst relative error {error:.3e}")
    for fault in faults:
        print("differs:", fault)
    print(f"{len(tensors)} tensors, {len(faults)} differences")
    return 1 if faults else 0


sys.exit(main())
