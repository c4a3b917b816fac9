"""XOR codec with the behaviour of the script the releases were published with (uncompressed mode).

Usage: xor_codec.py DESTINATION PAYLOAD BASE
For every file directly in PAYLOAD: DESTINATION/f = PAYLOAD/f xor BASE/f, in blocks of 4096 bytes. The result is as
long as the payload; a base that ends early counts as zeros, what it has beyond is ignored. Encoding is the
same act with the plain files as PAYLOAD. A file that fails (a folder, or no file in BASE) is reported and skipped.
"""
import os
import sys

import numpy

BLOCK = 4096


def xor_file(destination, payload, base):
    with open(payload, "rb") as p, open(base, "rb") as b, open(destination, "wb") as d:
        while True:
            block = numpy.frombuffer(p.read(BLOCK), dtype=numpy.uint8)
            key = numpy.frombuffer(b.read(BLOCK), dtype=numpy.uint8)[:len(block)]
            key = numpy.pad(key, (0, len(block) - len(key)))
            d.write((block ^ key).tobytes())
            if len(block) < BLOCK:
                return


def xor_folder(destination, payload, base):
    os.makedirs(destination, exist_ok=True)
    for name in os.listdir(payload):
        try:
            xor_file(*(os.path.join(folder, name) for folder in (destination, payload, base)))
        except Exception as error:
            print(f"Exception when processing {name!r}: {error}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print("usage: xor_codec.py DESTINATION PAYLOAD BASE")
    else:
        xor_folder(*sys.argv[1:4])
