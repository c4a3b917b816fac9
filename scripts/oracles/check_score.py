"""A perplexity by transformers in float32, beside those of galatea.

Usage: check_score.py FOLDER IDS.i32 CTX RUN.json BOUND [RUN.json BOUND...]   (needs transformers >= 4.38 with torch)
FOLDER is a Hugging Face folder, IDS the token stream (galatea tokenize --out), the runs are of the protocol gptq over the
same windows from the first one on (--windows :N --json). Exit code 1 when a perplexity is farther off than its BOUND, relative.
"""
import json
import math
import pathlib
import sys

import numpy
import torch
from transformers import AutoModelForCausalLM


@torch.no_grad()
def main():
    folder, ids_file, context = sys.argv[1], sys.argv[2], int(sys.argv[3])
    runs = [(name, json.loads(pathlib.Path(name).read_text()), float(bound))
            for name, bound in zip(sys.argv[4::2], sys.argv[5::2])]
    windows = len(runs[0][1]["window_losses"])
    ids = torch.from_numpy(numpy.fromfile(ids_file, dtype="<i4").astype(numpy.int64))
    model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    losses = []
    for w in range(windows):
        window = ids[w * context:(w + 1) * context]
        logits = model(window[None]).logits[0, :-1].double()
        losses.append(torch.nn.functional.cross_entropy(logits, window[1:]).item())
        print(f"window {w}: {losses[-1]:.7f}", file=sys.stderr, flush=True)
    expected = math.exp(sum(losses) / windows)
    print(f"transformers float32  {expected:.7f}   {windows} windows of {context}")
    failed = False
    for name, run, bound in runs:
        found = run["perplexity"]
        off = found / expected - 1
        worst = max(abs(a - b) for a, b in zip(run["window_losses"], losses))
        failed |= not abs(off) <= bound
        print(f"galatea {run['precision']:6} {run.get('isa', ''):6} {found:.7f}   {off:+.1e} of it (bound {bound:.0e}); "
              f"a window's loss at most {worst:.1e} off")
    return 1 if failed else 0


sys.exit(main())
