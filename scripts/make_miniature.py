"""Makes tests/data/miniature/ from scratch: a whole small release, from Meta's files to published scores.

Usage: make_miniature.py [STAGE ...]        (default: all stages, in order)
Needs the environment of scripts/oracles/setup.sh and the Debian packages bible-kjv and dict-devil. Takes about
ten minutes on two cores. What is not committed goes to build/miniature/.
"""
import importlib
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "miniature"))
import paths

STAGES = ["corpus", "tokenizer", "train", "meta", "convert", "lora", "merge", "payload", "release", "golden", "size"]
SIZE_LIMIT = 13_000_000  # meta, base-hf and payload are three times the 3.93 MB of the weights


def payload():
    import xor_codec
    shutil.rmtree(paths.PAYLOAD, ignore_errors=True)
    xor_codec.xor_folder(paths.PAYLOAD, paths.MERGED, paths.BASE)


def size():
    total = sum(p.stat().st_size for p in paths.OUT.rglob("*") if p.is_file())
    print(f"{total} bytes in {paths.OUT.name}")
    if total > SIZE_LIMIT:
        sys.exit(f"more than {SIZE_LIMIT} bytes")


def main():
    for stage in sys.argv[1:] or STAGES:
        print(f"== {stage}", flush=True)
        if stage in ("payload", "size"):
            globals()[stage]()
        else:
            importlib.import_module(stage).run()


if __name__ == "__main__":
    main()
