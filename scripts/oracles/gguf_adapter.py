"""A part of the miniature's adapter as a GGUF adapter, written by llama.cpp's gguf-py.

Usage: gguf_adapter.py OUTPUT.gguf        (requirements-2023.txt and gguf)
Names, metadata and orientation as convert_lora_to_gguf.py has them: rows of q's B interleaved like those of the base, A
of the embedding turned.
"""
import pathlib
import sys

import gguf
import torch

ADAPTER = pathlib.Path(__file__).resolve().parents[2] / "tests/data/miniature/adapter/adapter_model.bin"
HEADS = 4  # of the miniature


def interleaved(rows):
    return rows.reshape(HEADS, 2, rows.shape[0] // HEADS // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def main(path):
    tensors = {name: tensor.float() for name, tensor in torch.load(ADAPTER).items()}
    q = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    up = "base_model.model.model.layers.1.mlp.up_proj.lora_"
    embedding = "base_model.model.model.embed_tokens.lora_embedding_"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    for name, tensor in {
            "blk.0.attn_q.weight.lora_a": tensors[q + "A.weight"],
            "blk.0.attn_q.weight.lora_b": interleaved(tensors[q + "B.weight"]),
            "blk.1.ffn_up.weight.lora_a": tensors[up + "A.weight"],
            "blk.1.ffn_up.weight.lora_b": tensors[up + "B.weight"],
            "token_embd.weight.lora_a": tensors[embedding + "A"].T,
            "token_embd.weight.lora_b": tensors[embedding + "B"]}.items():
        writer.add_tensor(name, tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
