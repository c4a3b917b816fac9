#!/usr/bin/env python3
"""Compares two GGUF files by gguf-py: type, shape and stored bytes of every tensor, and every entry of the metadata.

    compare_gguf.py OURS PEERS       prints what differs and a line "TENSORS same of ALL, metadata: ..."

Entries that only one file has are counted, not blamed; general.file_type and all that both have must be equal,
but for the name of the importance file, of which one may keep the folder. Exit code 1 when something differs.
"""
import sys

from gguf import GGUFReader

TOLD_APART = {"quantize.imatrix.file"}


def main() -> int:
    ours, peers = (GGUFReader(path) for path in sys.argv[1:3])
    mine = {tensor.name: tensor for tensor in ours.tensors}
    theirs = {tensor.name: tensor for tensor in peers.tensors}
    faults, same = [], 0
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in mine or name not in theirs:
            faults.append(f"{name}: only in {'ours' if name in mine else 'the peer'}")
            continue
        a, b = mine[name], theirs[name]
        if a.tensor_type != b.tensor_type or list(a.shape) != list(b.shape):
            faults.append(f"{name}: {a.tensor_type.name} {list(a.shape)}, the peer has {b.tensor_type.name} {list(b.shape)}")
        elif a.data.tobytes() != b.data.tobytes():
            count = int((a.data.reshape(-1).view("u1") != b.data.reshape(-1).view("u1")).sum())
            faults.append(f"{name}: {a.tensor_type.name}, {count} of {a.n_bytes} bytes differ")
        else:
            same += 1
    entries = [{key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
               for reader in (ours, peers)]
    equal = 0
    for key in entries[0].keys() & entries[1].keys():
        if entries[0][key] == entries[1][key]:
            equal += 1
        elif key not in TOLD_APART:
            faults.append(f"{key}: {str(entries[0][key])[:60]}, the peer has {str(entries[1][key])[:60]}")
    extra = sorted(entries[0].keys() - entries[1].keys())
    missing = sorted(entries[1].keys() - entries[0].keys())
    order = [tensor.name for tensor in ours.tensors] == [tensor.name for tensor in peers.tensors]
    print(f"{same} of {len(mine.keys() | theirs.keys())} tensors, {equal} entries"
          + ("" if order else ", another order of tensors")
          + (f", only ours: {' '.join(extra)}" if extra else "")
          + (f", only the peer's: {' '.join(missing)}" if missing else ""))
    for fault in faults:
        print("    " + fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
