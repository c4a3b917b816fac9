"""Scores a checkpoint folder with transformers in float32, by the protocol of GPTQ-for-LLaMa.

Usage: score.py FOLDER [--corpora CORPORA] [--ctx 256] [--streams wikitext2,ptb,ptb-new,c4-new] [--tokens-only]
Prints one JSON object. FOLDER needs weights, config and tokenizer files; CORPORA is a folder like corpora/ (a C4
file is taken as c4-validation*.jsonl).
"""
import argparse
import hashlib
import json
import pathlib

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

import paths

STREAMS = ["wikitext2", "ptb", "ptb-new", "c4-new"]


def lines(path):
    text = path.read_bytes().decode("utf-8")
    rows = text.split("\n")
    return [row + "\n" for row in rows[:-1]] + ([rows[-1]] if rows[-1] else [])


def stream_text(name, corpora):
    """The one string that the tokenizer gets, from rows as the data set loaders of the time delivered them."""
    if name == "wikitext2":
        return "\n\n".join(row if row.strip() else "" for row in lines(corpora / "wiki.test.raw"))
    if name == "ptb":
        return "\n\n".join(row.strip() for row in lines(corpora / "ptb.valid.txt"))
    if name == "ptb-new":
        return " ".join(row.strip() for row in lines(corpora / "ptb.test.txt"))
    if name == "c4-new":
        (file,) = corpora.glob("c4-validation*.jsonl")
        return " ".join(json.loads(row)["text"] for row in lines(file)[:1100])
    raise ValueError(name)


def stream_ids(name, corpora, tokenizer, ctx):
    ids = torch.tensor(tokenizer(stream_text(name, corpora)).input_ids)
    return ids[:256 * ctx] if name == "c4-new" else ids


def describe(ids, ctx):
    return {"tokens": len(ids), "windows": len(ids) // ctx, "remainder": len(ids) % ctx,
            "sha256": hashlib.sha256(ids.to(torch.int32).numpy().tobytes()).hexdigest()}


@torch.no_grad()
def perplexity(model, ids, ctx):
    """Non-overlapping windows, positions 1.. of each are scored, mean over the means; all in float32."""
    count = len(ids) // ctx
    losses = []
    for window in ids[:count * ctx].view(count, 1, ctx):
        logits = model(window, use_cache=False).logits
        loss = torch.nn.CrossEntropyLoss()(logits[0, :-1], window[0, 1:])
        losses.append(loss.float() * ctx)
    return torch.exp(torch.stack(losses).sum() / (count * ctx)).item()


def load(folder):
    return LlamaForCausalLM.from_pretrained(str(folder), torch_dtype=torch.float32).eval()


def load_tokenizer(folder):
    return AutoTokenizer.from_pretrained(str(folder), use_fast=False)


def score(folder, corpora=paths.CORPORA, ctx=paths.CONTEXT, streams=STREAMS, tokens_only=False):
    tokenizer = load_tokenizer(folder)
    model = None if tokens_only else load(folder)
    result = {"ctx": ctx}
    details = {}
    for name in streams:
        ids = stream_ids(name, pathlib.Path(corpora), tokenizer, ctx)
        details[name] = describe(ids, ctx)
        if model is not None:
            result[name] = perplexity(model, ids, ctx)
    return result, details


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--corpora", default=paths.CORPORA)
    parser.add_argument("--ctx", type=int, default=paths.CONTEXT)
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--tokens-only", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    scores, details = score(a.folder, a.corpora, a.ctx, a.streams.split(","), a.tokens_only)
    print(json.dumps({"scores": scores, "streams": details}, indent=1))


if __name__ == "__main__":
    main()
