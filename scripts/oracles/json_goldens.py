"""Writes tests/data/json/: a document and how Python's json.dumps writes it in several styles, and floats.

Usage: json_goldens.py [FOLDER]

floats.txt: lines "<float64 bits in hex> <repr>".
"""
import json
import pathlib
import random
import struct
import sys

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/json"
DOCUMENT = {
    "zeta": [1, -2, 0, 2**63, -(2**63), 2**64 - 1, int(1e30), -(10**40)],
    "floats": [1e-06, 1.0, 1e30, 0.1, 1e16, 123456789012345.6, 1e-05, 0.0001, -0.0, 5e-324, 1.7976931348623157e308],
    "alpha": {"b": None, "a": True, "Z": False, "\u00e9": "caf\u00e9 \u2047 \U0001f600 </s>", "": {}},
    "control": "\x00\x01\b\t\n\x0b\f\r\x1f\x7f\"\\/\u2028",
    "\U0001f600": [], "\ufffd": [[], {}, [[]], [{"x": [1]}]],
}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    styles = {
        "indent2_ascii": dict(indent=2),
        "indent2_sorted_ascii": dict(indent=2, sort_keys=True),
        "indent4_utf8": dict(indent=4, ensure_ascii=False),
        "line_utf8": dict(ensure_ascii=False),
        "line_sorted_ascii": dict(sort_keys=True),
    }
    for name, style in styles.items():
        (folder / f"{name}.json").write_bytes(json.dumps(DOCUMENT, **style).encode())

    draw = random.Random(1)
    values = [float(10) ** e for e in range(-8, 24)] + [float(10) ** e / 3 for e in range(-8, 24)]
    values += [0.0, -0.0, 5e-324, 2.0**1023, 2.0**53, 2.0**53 + 2, 0.1 + 0.2, 1e22, 1e23, -1.5, float("inf"), float("-inf"), float("nan")]
    values += [struct.unpack("<d", draw.getrandbits(64).to_bytes(8, "little"))[0] for _ in range(200)]
    lines = [f"{struct.unpack('<Q', struct.pack('<d', v))[0]:016x} {v!r}\n" for v in values]
    (folder / "floats.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
