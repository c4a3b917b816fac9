"""Where the miniature's parts lie. WORK holds what is not committed (training text, float32 weights, merged/)."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(os.environ.get("MINIATURE_OUT", ROOT / "tests/data/miniature"))
WORK = pathlib.Path(os.environ.get("MINIATURE_WORK", ROOT / "build/miniature"))
CORPORA = OUT / "corpora"
META = OUT / "meta"
BASE = OUT / "base-hf"
ADAPTER = OUT / "adapter"
PAYLOAD = OUT / "payload"
GOLDEN = OUT / "golden"
MERGED = WORK / "merged"

# The sizes of the model. The vocabulary is the tokenizer's; 768 is what the converter computes for 256.
VOCAB, HIDDEN, INTERMEDIATE, LAYERS, HEADS = 512, 256, 768, 2, 4
CONTEXT = 256
META_SHARDS = 2
MAX_SHARD_SIZE = "1500KB"
