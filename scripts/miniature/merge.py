"""Merges adapter/ into base-hf with PEFT 0.4.0, the first that can merge an embedding.

Usage: PYTHONPATH=VENV/overlay/peft-0.4.0 merge.py [OUTPUT_FOLDER]
Base loaded as float32, merge_and_unload, then .half() of the whole model: so the rotary buffers (4 bytes in
base-hf) become 2 bytes, as in the 13B releases.
"""
import os
import shutil
import subprocess
import sys

import paths


def merge(output):
    import peft
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    import arithmetic

    assert peft.__version__ == "0.4.0", peft.__version__
    os.chdir(paths.OUT)
    model = LlamaForCausalLM.from_pretrained("base-hf", torch_dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, "adapter").merge_and_unload()
    differ = arithmetic.compare(model.state_dict())
    print(f"merge formula: {len(differ)} tensors, {sum(differ.values())} elements differ", differ, flush=True)
    shutil.rmtree(output, ignore_errors=True)
    model.half().save_pretrained(output, max_shard_size=paths.MAX_SHARD_SIZE)
    tokenizer = AutoTokenizer.from_pretrained("base-hf", padding_side="right")
    tokenizer.save_pretrained(output)


def run(output=paths.MERGED):
    """In a process of its own, since this one may have loaded another PEFT."""
    overlay = os.path.join(sys.prefix, "overlay", "peft-0.4.0")
    subprocess.run([sys.executable, __file__, str(output)], check=True, env=dict(os.environ, PYTHONPATH=overlay))


if __name__ == "__main__":
    merge(os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else paths.MERGED)
