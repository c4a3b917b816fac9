"""A token stream by transformers, beside galatea's.

Usage: check_stream.py FOLDER TEXT IDS.i32 slow|fast   (needs transformers, sentencepiece)
TEXT is a file whose text is tokenized as one string, IDS what galatea made of it (galatea tokenize --data text --out).
Exit code 1 with the first difference when they are not the same.
"""
import pathlib
import sys

import numpy
from transformers import AutoTokenizer


def main():
    folder, text_file, ids_file, kind = sys.argv[1:5]
    text = pathlib.Path(text_file).read_bytes().decode("utf-8", errors="replace")
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=kind == "fast")
    expected = numpy.array(tokenizer(text, verbose=False)["input_ids"], dtype=numpy.int32)
    found = numpy.fromfile(ids_file, dtype="<i4")
    if numpy.array_equal(expected, found):
        print(f"{pathlib.Path(text_file).name}: {len(found)} ids of {type(tokenizer).__name__}, the same")
        return 0
    n = min(len(expected), len(found))
    differing = numpy.nonzero(expected[:n] != found[:n])[0]
    at = int(differing[0]) if len(differing) else n
    print(f"{pathlib.Path(text_file).name}: {len(expected)} ids of {type(tokenizer).__name__}, {len(found)} of galatea; at "
          f"{at}: {expected[max(0, at - 3):at + 5].tolist()} and {found[max(0, at - 3):at + 5].tolist()}")
    return 1


sys.exit(main())
