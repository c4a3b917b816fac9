"""Compares `galatea base` with transformers' own converter on small Meta folders of 1, 2, 4 and 8 shards.

Usage: check_base.py GALATEA TOKENIZER_MODEL     (torch 1.13.1, transformers 4.28.1, accelerate 0.18)
Every file of every folder must be the same to the byte, with shards of 10 GB and of 3 MB (where the embedding
alone is larger than a shard). TOKENIZER_MODEL is LLaMA's, since the converter takes 32,000 pieces for granted.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers.models.llama.convert_llama_weights_to_hf as converter

SIZES = {"7B": 1, "13B": 2, "30B": 4, "65B": 8}
DIM, HEADS, LAYERS, VOCAB = 64, 8, 12, 32000


def write_meta(folder, shards):
    """Random weights as Meta cuts them; more than ten layers, so that orders of numbers and of texts differ."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({
        "dim": DIM, "multiple_of": 256, "n_heads": HEADS, "n_layers": LAYERS, "norm_eps": 1e-06, "vocab_size": -1}))
    generator = torch.Generator().manual_seed(shards)
    inner = (math.ceil(DIM * 8 / 3) + 255) // 256 * 256

    def random(*shape):
        return (torch.randn(*shape, generator=generator) * 0.05).half()

    norms = {f"layers.{i}.{n}.weight": random(DIM) for i in range(LAYERS) for n in ("attention_norm", "ffn_norm")}
    for shard in range(shards):
        state = {"tok_embeddings.weight": random(VOCAB, DIM // shards), "norm.weight": torch.ones(DIM).half(),
                 "output.weight": random(VOCAB // shards, DIM), "rope.freqs": torch.zeros(DIM // HEADS // 2), **norms}
        for i in range(LAYERS):
            for name in ("wq", "wk", "wv"):
                state[f"layers.{i}.attention.{name}.weight"] = random(DIM // shards, DIM)
            state[f"layers.{i}.attention.wo.weight"] = random(DIM, DIM // shards)
            state[f"layers.{i}.feed_forward.w1.weight"] = random(inner // shards, DIM)
            state[f"layers.{i}.feed_forward.w2.weight"] = random(DIM, inner // shards)
            state[f"layers.{i}.feed_forward.w3.weight"] = random(inner // shards, DIM)
        torch.save(state, folder / f"consolidated.{shard:02d}.pth")


def convert(meta, size, tokenizer, output, limit):
    class Model(converter.LlamaForCausalLM):
        def save_pretrained(self, folder):
            super().save_pretrained(folder, max_shard_size=limit)

    Model.__name__ = "LlamaForCausalLM"
    genuine = converter.LlamaForCausalLM
    converter.LlamaForCausalLM = Model
    converter.write_model(str(output), str(meta), size)
    converter.LlamaForCausalLM = genuine
    for file in tokenizer.iterdir():
        shutil.copy(file, output)


def differences(ours, theirs):
    names = {p.name for p in ours.iterdir()} - {"galatea.json"}
    for name in sorted(names | {p.name for p in theirs.iterdir()}):
        a, b = ours / name, theirs / name
        if not a.exists() or not b.exists() or a.read_bytes() != b.read_bytes():
            yield name


def main(galatea, tokenizer_model):
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        print("the fast tokenizer (some minutes)", flush=True)
        converter.write_tokenizer(str(folder / "tokenizer"), tokenizer_model)
        for size, shards in SIZES.items():
            meta = folder / "meta" / size
            write_meta(meta, shards)
            shutil.copy(tokenizer_model, meta)
            for limit in ("10GB", "3MB"):
                theirs, ours = (folder / who / size / limit for who in ("theirs", "ours"))
                convert(meta, size, folder / "tokenizer", theirs, limit)
                subprocess.run([galatea, "--quiet", "base", meta, ours, "--profile", "4.28", "--max-shard-size", limit],
                               check=True, stdout=subprocess.DEVNULL)
                different = list(differences(ours, theirs))
                failed = failed or bool(different)
                print(size, shards, "shard(s),", limit, "files:", "DIFFERENT: " + ", ".join(different)
                      if different else f"{len(list(theirs.iterdir()))} files, all the same", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
