"""Cuts the trained model into Meta's layout: consolidated.NN.pth, params.json and the md5 checklists.

Meta's rotary order is interleaved: the inverse of the converter's permutation of wq and wk. Tensor-parallel
shards hold rows of wq, wk, wv, w1, w3, output and columns of wo, w2, tok_embeddings; norms and rope.freqs are
in every shard. As in Meta's files for 13B and up (a comment in the converter tells), the tensors of a layer
are views into one storage.
"""
import hashlib

import torch

import paths

BY_ROWS = {"wq": "self_attn.q_proj", "wk": "self_attn.k_proj", "wv": "self_attn.v_proj", "w1": "mlp.gate_proj",
           "w3": "mlp.up_proj"}
BY_COLUMNS = {"wo": "self_attn.o_proj", "w2": "mlp.down_proj"}
PARAMS = ('{{"dim": {}, "multiple_of": 256, "n_heads": {}, "n_layers": {}, "norm_eps": 1e-06, "vocab_size": -1}}')


def interleave(w):
    """Half-split rotary rows back to interleaved ones."""
    half = paths.HIDDEN // paths.HEADS // 2
    return w.view(paths.HEADS, 2, half, paths.HIDDEN).transpose(1, 2).reshape(paths.HIDDEN, paths.HIDDEN)


def cut(w, shard, dim):
    return w.chunk(paths.META_SHARDS, dim)[shard].contiguous()


def layer_tensors(weights, layer, shard):
    source = f"model.layers.{layer}."
    target = f"layers.{layer}."
    out = {}
    for name in ("wq", "wk", "wv", "wo"):
        w = weights[source + (BY_ROWS.get(name) or BY_COLUMNS[name]) + ".weight"]
        w = interleave(w) if name in ("wq", "wk") else w
        out[f"{target}attention.{name}.weight"] = cut(w, shard, 0 if name in BY_ROWS else 1)
    for name in ("w1", "w2", "w3"):
        w = weights[source + (BY_ROWS.get(name) or BY_COLUMNS[name]) + ".weight"]
        out[f"{target}feed_forward.{name}.weight"] = cut(w, shard, 0 if name in BY_ROWS else 1)
    out[f"{target}attention_norm.weight"] = weights[source + "input_layernorm.weight"]
    out[f"{target}ffn_norm.weight"] = weights[source + "post_attention_layernorm.weight"]
    return one_storage(out)


def one_storage(tensors):
    flat = torch.cat([t.reshape(-1) for t in tensors.values()])
    pieces = flat.split([t.numel() for t in tensors.values()])
    return {name: piece.view(t.shape) for (name, t), piece in zip(tensors.items(), pieces)}


def shard_state(weights, shard):
    state = {
        "tok_embeddings.weight": cut(weights["model.embed_tokens.weight"], shard, 1).clone(),
        "norm.weight": weights["model.norm.weight"].clone(),
        "output.weight": cut(weights["lm_head.weight"], shard, 0).clone(),
    }
    for layer in range(paths.LAYERS):
        state.update(layer_tensors(weights, layer, shard))
    head = paths.HIDDEN // paths.HEADS
    state["rope.freqs"] = (1.0 / (10000.0 ** (torch.arange(0, head, 2).float() / head))).half()
    return state


def checklist(folder, names, out):
    lines = [f"{hashlib.md5((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / out).write_text("".join(lines))


def run():
    weights = torch.load(paths.WORK / "base.pt")
    names = [f"consolidated.{i:02d}.pth" for i in range(paths.META_SHARDS)]
    for i, name in enumerate(names):
        torch.save(shard_state(weights, i), paths.META / name)
    (paths.META / "params.json").write_text(PARAMS.format(paths.HIDDEN, paths.HEADS, paths.LAYERS))
    checklist(paths.META, names + ["params.json"], "checklist.chk")
    checklist(paths.META, ["tokenizer.model"], "tokenizer_checklist.chk")


if __name__ == "__main__":
    run()
