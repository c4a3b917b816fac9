"""Scores of the miniature's base by the protocols of other tools, computed with transformers in float32.

Usage: protocol_goldens.py [OUT.json]      default: tests/data/perplexity/protocols.json
Needs the environment of scripts/oracles/setup.sh. Windows and scored positions are written down here from the sources
of llama.cpp (tools/perplexity), AutoGPTQ (perplexity_utils.py), exllamav2 (test_inference.py) and
lm-evaluation-harness (lm_eval/utils.py, the task wikitext), not from galatea.
"""
import hashlib
import json
import math
import pathlib
import random
import re
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


@torch.no_grad()
def log_probabilities_of(model, ids):
    return torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0].double(), dim=-1)


def strided(model, ids, ctx, stride):
    """llama.cpp --ppl-stride: chunks of ctx + stride/2, the last stride predictions of each."""
    ctx += stride // 2
    out = []
    for chunk in range((len(ids) - ctx + stride - 1) // stride):
        window = ids[chunk * stride:chunk * stride + ctx].tolist()
        found = log_probabilities_of(model, window)
        out += [-found[j, window[j + 1]].item() for j in range(ctx - stride - 1, ctx - 1)]
    return out


def exllamav2(model, tokenizer, rows, ctx):
    ids = []
    for row in rows:
        ids += tokenizer(row, add_special_tokens=False).input_ids
    out = []
    for start in range(0, min(len(ids) // ctx, 128) * ctx, ctx):
        window = ids[start:start + ctx]
        found = log_probabilities_of(model, window)
        out += [-found[j, window[j + 1]].item() for j in range(ctx - 1)]
    return ids, out


def articles(text):
    """The pages of wikitext_document_level."""
    page, out = [], []
    for line in text.split("\n"):
        plain = line.replace("= = =", "===").replace("= =", "==").strip()
        if plain.startswith("= ") and plain.strip().endswith(" ="):
            if "\n".join(page).strip():
                out.append("\n".join(page))
            page = []
        page.append(line)
    if "\n".join(page).strip():
        out.append("\n".join(page))
    return out


REPLACE = [("s '", "s'"), (r"/' [0-9]/", None), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), (" : ", ": "),
           (" ; ", "; "), (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", ")]
BRACKETS = [(r"\(\s*([^\)]*?)\s*\)", r"(\1)"), (r"\[\s*([^\]]*?)\s*\]", r"[\1]"), (r"{\s*([^}]*?)\s*}", r"{\1}"),
            (r"\"\s*([^\"]*?)\s*\"", r'"\1"'), (r"'\s*([^']*?)\s*'", r"'\1'")]
AFTER = [("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" " + chr(176) + " ", chr(176)), (" \n", "\n"),
         ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")]


def unspaced(page):
    for old, new in REPLACE:
        page = page.replace(old, new) if new is not None else re.sub(old, r"/'[0-9]/", page)
    for pattern, new in BRACKETS:
        page = re.sub(pattern, new, page)
    for old, new in AFTER:
        page = page.replace(old, new)
    return page


def rolling(model, ids, ctx):
    """Each token once: the first ctx from BOS, then ctx at a time, the last window filled up with context."""
    all_ids, out, done = [1] + ids, [], 0
    while done < len(ids):
        here = min(ctx, len(ids) - done)
        end = done + here
        begin = max(end - ctx, 0)
        found = log_probabilities_of(model, all_ids[begin:end])
        out += [-found[p - begin, all_ids[p + 1]].item() for p in range(done, end)]
        done = end
    return out


def lm_eval(model, tokenizer, text, ctx):
    total, tokens, words, size, pages = 0.0, 0, 0, 0, []
    for page in articles(text):
        plain = unspaced(page)
        pages.append(plain)
        found = rolling(model, tokenizer(plain, add_special_tokens=False).input_ids, ctx)
        total, tokens = total + sum(found), tokens + len(found)
        words += len(re.split(r"\s+", page))
        size += len(page.encode())
    return pages, {"perplexity": math.exp(total / words), "scored": tokens, "words": words, "bytes": size,
                   "bits_per_byte": total / size / math.log(2)}


def drawn(tokenizer, documents, ctx):
    """The c4 stream of GPTQ-for-LLaMa: windows drawn from single documents."""
    random.seed(0)
    out = []
    for _ in range(256):
        while True:
            ids = tokenizer(documents[random.randint(0, len(documents) - 1)]).input_ids
            if len(ids) >= ctx:
                break
        start = random.randint(0, len(ids) - ctx - 1)
        out += ids[start:start + ctx]
    return out


UNSPACE = ["it 's the boys ' own ( a , b ) [ c ] { d } \" e \" ' f '", "1 @,@ 000 @.@ 5 @-@ mile : x ; y . z ! a ? b",
           " = = = Title = = = \n text N \n 20 \u00b0 C", "( open \" odd ' quotes", "/' 5/ and /' 55/", "()[]{}\"\"''", ""]


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
    found = strided(model, ids[:2000], 128, 48)
    result["strided"] = {"tokens": 2000, "ctx": 128, "stride": 48, "scored": len(found),
                         "perplexity": math.exp(sum(found) / len(found))}
    wiki = (MINIATURE / "corpora" / "wiki.test.raw").read_bytes().decode()
    rows = [row if row.strip() else "" for row in score.lines(MINIATURE / "corpora" / "wiki.test.raw")]
    row_ids, found = exllamav2(model, tokenizer, rows[:60], 128)
    result["rows"] = {"rows": 60, "ids": row_ids, "scored": len(found), "perplexity": math.exp(sum(found) / len(found))}
    page_texts, result["articles"] = lm_eval(model, tokenizer, wiki, 128)
    result["articles"]["pages"] = len(page_texts)
    (shard,) = (MINIATURE / "corpora").glob("c4-validation*.jsonl")
    ids = drawn(tokenizer, [json.loads(row)["text"] for row in score.lines(shard)], 70)
    result["drawn"] = {"ctx": 70, "sha256": hashlib.sha256(torch.tensor(ids, dtype=torch.int32).numpy().tobytes()).hexdigest()}
    result["unspaced"] = [[text, unspaced(text)] for text in UNSPACE]
    out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
