"""Writes tests/data/verdicts/{safetensors,gguf}.txt: what the public readers say of thousands of damaged files.

Usage: verdict_goldens.py [FOLDER [COUNT]]

Each file is a sound one with one thing wrong, or with COUNT (default 250) random damages: bytes changed, cut off, put in,
digits of the header changed. The verdict on safetensors is that of the safetensors library (its Rust parser), the one on
GGUF that of gguf-py's GGUFReader, which leaves more unchecked than llama.cpp. One file a line: 1 for what
can be read or 0, and its bytes as hex. tests/format/verdicts_test.cpp asks our readers about the same files.
"""
import json
import pathlib
import random
import struct
import sys
import tempfile

import gguf
import numpy
import safetensors

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/verdicts"


def with_header(text, data):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text)) + text + data


def header(**changes):
    tensors = {"__metadata__": {"format": "pt"}, "a": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]},
               "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}
    for name, change in changes.items():
        tensors[name] = {**tensors.get(name, {}), **change} if isinstance(change, dict) else change
    return json.dumps(tensors, separators=(",", ":"))


def safetensors_by_hand():
    data = bytes(range(16))
    sound = header()
    yield with_header(sound, data)
    yield with_header(sound + "   ", data)
    for text in (" " + sound, sound + "\n", sound + "\0", sound + "x", sound[:-1], "[]", "null", "", "{}", '"a"', "1",
                 sound.replace("}", "},", 1), "\ufeff" + sound, sound.replace('"a"', '"b"'), sound.replace('"', "'"),
                 sound.replace('"format":"pt"', '"format":1'), sound.replace('"format":"pt"', '"format":null'),
                 sound.replace('{"format":"pt"}', "null"), sound.replace('{"format":"pt"}', "[]"), sound.replace('{"format":"pt"}', "{}"),
                 sound.replace('"format":"pt"', '"format":"pt","format":"tf"'), sound.replace("[2,3]", "[3,2]"),
                 sound.replace("[2,3]", "[6]"), sound.replace("[2,3]", "[2,3,1]"), sound.replace("[2,3]", "6"),
                 sound.replace("[2,3]", "[2.0,3]"), sound.replace("[2,3]", "[2e0,3]"), sound.replace("[2,3]", "[-2,-3]"),
                 sound.replace("[2,3]", "[2,4]"), sound.replace("[2,3]", "[]"), sound.replace("[2,3]", "[2,3,0]"),
                 sound.replace("[2,3]", "[18446744073709551617,6]"), sound.replace("[2,3]", "[9223372036854775808,2]"),
                 sound.replace("[2,3]", "[4294967296,4294967296]"), sound.replace("[2,3]", '["2","3"]'),
                 sound.replace("F16", "f16"), sound.replace("F16", "F17"), sound.replace("F16", "BF16"), sound.replace("F16", "I16"),
                 sound.replace("F16", "U16"), sound.replace("F16", "C64"), sound.replace("F32", "U32"), sound.replace("F32", "I32"),
                 sound.replace("[0,12]", "[0,11]"), sound.replace("[0,12]", "[1,13]"), sound.replace("[0,12]", "[0,12,12]"),
                 sound.replace("[0,12]", "[12,0]"), sound.replace("[0,12]", "[0]"), sound.replace("[0,12]", "[0,12.0]"),
                 sound.replace("[12,16]", "[11,15]"), sound.replace("[12,16]", "[0,4]"), sound.replace("[12,16]", "[12,17]"),
                 sound.replace("[12,16]", "[16,20]"), sound.replace('"dtype":"F16",', ""), sound.replace('"shape":[2,3],', ""),
                 sound.replace('"dtype":"F16"', '"dtype":"F16","dtype":"F32"'), sound.replace('"dtype":"F16"', '"dtype":"F16","more":1'),
                 sound.replace('"dtype":"F16"', '"dtype":16'), sound.replace('"a"', '"\\ud800"'), sound.replace('"a"', '"\\u0000"'),
                 sound.replace('"a"', '""'), sound.replace('"a"', '"' + "n" * 1000 + '"'), sound.replace('"a"', '"\\x"'),
                 sound.replace('"a"', '"a\n"'), sound.replace('"a"', '"/../a"'), '{"a":' * 300 + "1" + "}" * 300,
                 header(b={"shape": [0], "data_offsets": [12, 12]}), header(b={"shape": [0], "data_offsets": [16, 16]}),
                 header(c={"dtype": "F32", "shape": [0], "data_offsets": [16, 16]}),
                 header(c={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})):
        yield with_header(text, data)
    yield with_header(sound.encode().replace(b'"a"', b'"\xff"'), data)
    yield with_header(sound.encode().replace(b'"a"', b'"\xed\xa0\x80"'), data)
    yield with_header("{}", b"")
    yield with_header("{}", b"\0")
    yield with_header(sound, data + b"\0")
    yield with_header(sound, data[:-1])
    for length in (0, 1, 7, 8, 2**31, 2**32, 2**63, 2**64 - 1, 2**64 - 8, 100_000_000, 100_000_001):
        yield struct.pack("<Q", length) + sound.encode() + data
    for size in range(0, 9):
        yield with_header(sound, data)[:size]


def damaged(sound, rng, text_end):
    data = bytearray(sound)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(min(len(data), text_end))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 4:
            digits = [i for i, byte in enumerate(data[:text_end]) if 48 <= byte <= 57]
            if digits:
                data[rng.choice(digits)] = rng.choice(b"0123456789-.e")
        else:
            other = rng.randrange(min(len(data), text_end))
            data[at:at + 4] = data[other:other + 4]
        if not data:
            break
    return bytes(data)


def safetensors_verdict(path):
    try:
        with safetensors.safe_open(path, "numpy") as file:
            for name in file.keys():
                file.get_slice(name).get_shape()
        return True
    except Exception:  # whatever it throws is a refusal
        return False


def gguf_sound(folder):
    writer = gguf.GGUFWriter(folder / "sound.gguf", "llama")
    writer.add_uint32("a.number", 7)
    writer.add_string("a.text", "text")
    writer.add_array("a.list", ["x", "yz"])
    writer.add_tensor("weight", numpy.arange(64, dtype=numpy.float16).reshape(2, 32))
    writer.add_tensor("blocks", numpy.arange(68, dtype=numpy.uint8).reshape(2, 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("bias", numpy.arange(3, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (folder / "sound.gguf").read_bytes()


def gguf_verdict(path):
    try:
        for tensor in gguf.GGUFReader(path).tensors:
            tensor.data.sum()
        return True
    except Exception:
        return False


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 250
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        sound = with_header(header(), bytes(range(16)))
        tensors = list(safetensors_by_hand()) + [damaged(sound, rng, len(sound)) for _ in range(count)]
        sound = gguf_sound(place)
        ends = len(sound) - 300
        ggufs = [sound] + [sound[:i] for i in range(0, len(sound), 13)] + [damaged(sound, rng, ends) for _ in range(count)]
        for name, files, verdict in (("safetensors", tensors, safetensors_verdict), ("gguf", ggufs, gguf_verdict)):
            lines, path = [], place / ("file." + name)
            for data in dict.fromkeys(files):
                path.write_bytes(data)
                lines.append(f"{int(verdict(path))} {data.hex()}\n")
            (folder / (name + ".txt")).write_text("".join(lines))
            print(f"{name}: {len(lines)} files, {sum(line[0] == '1' for line in lines)} readable")


main()
