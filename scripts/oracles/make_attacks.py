"""Writes the hostile files of tests/attacks/ and their README.

Usage: make_attacks.py [FOLDER]

Nothing here harms a reader that takes files as data. Do not load the pickles with Python.
"""
import json
import pathlib
import struct
import sys
import zlib

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/attacks"
TOUCH = b"X\x18\x00\x00\x00touch executed-by-pickle\x85R"
FILES = []  # name, bytes, what it tries, what galatea answers


def attack(name, data, tries, answer):
    FILES.append((f"{len(FILES) + 1:02d}_{name}", data, tries, answer))


def zip_file(records, central=None, end=None, prefix=b""):
    """Stored records (name, data); `central` changes the fields of the directory, `end` those of the end."""
    out, entries = prefix, []
    for i, (name, data) in enumerate(records):
        local = struct.pack("<IHHHHHIIIHH", 0x04034b50, 0, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data),
                            len(name), 0) + name.encode()
        fields = dict(name=name, crc=zlib.crc32(data), size=len(data), offset=len(out), method=0)
        fields.update((central or {}).get(i, {}))
        entries.append(fields)
        out += local + data
    directory = b"".join(
        struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 0, 0, 0, f["method"], 0, 0, f["crc"], f["size"], f["size"],
                    len(f["name"]), 0, 0, 0, 0, 0, f["offset"]) + f["name"].encode() for f in entries)
    fields = dict(count=len(entries), size=len(directory), offset=len(out))
    fields.update(end or {})
    return out + directory + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, fields["count"], fields["count"],
                                         fields["size"], fields["offset"], 0)


def torch_file(pickle, records=(), **options):
    return zip_file([("archive/data.pkl", pickle), *records, ("archive/version", b"3\n")], **options)


def tensor(offset=b"K\x00", size=b"K\x02\x85", stride=b"K\x01\x85", key=b"0", elements=b"K\x02",
           storage=b"ctorch\nFloatStorage\n"):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage" + storage + b"X"
            + struct.pack("<I", len(key)) + key + b"X\x03\x00\x00\x00cpu" + elements + b"tQ" + offset + size + stride
            + b"\x89ccollections\nOrderedDict\n)RtR")


def state_dict(value):
    return b"\x80\x02}X\x01\x00\x00\x00w" + value + b"s."


def safetensors(header, data=b""):
    if not isinstance(header, bytes):
        header = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(header)) + header + data


def entry(begin, end, dtype="U8", shape=None):
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


def pickles():
    attack("call_os_system.pt", torch_file(b"\x80\x02cos\nsystem\n" + TOUCH + b"."),
           "runs a command when Python loads it", "os.system('touch executed-by-pickle')")
    attack("call_beside_a_tensor.pt",
           torch_file(b"\x80\x02}(X\x01\x00\x00\x00w" + tensor() + b"X\x01\x00\x00\x00xcposix\nsystem\n" + TOUCH
                      + b"u.", [("archive/data/0", bytes(8))]),
           "hides the command behind a proper tensor", "posix.system('touch executed-by-pickle')")
    attack("call_through_getattr.pt",
           torch_file(b"\x80\x02c__builtin__\ngetattr\nc__builtin__\n__import__\nX\x02\x00\x00\x00os\x85RX\x06\x00\x00"
                      b"\x00system\x86R" + TOUCH + b"."),
           "gets at the function without naming it", "__builtin__.getattr(__builtin__.__import__('os'), 'system')(")
    attack("call_by_inst.pt", torch_file(b"(S'touch executed-by-pickle'\nios\nsystem\n."),
           "uses an opcode of 1995", "os.system(")
    attack("call_by_stack_global.pt",
           torch_file(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x18touch executed-by-pickle\x85R."),
           "uses an opcode that older scanners overlook", "os.system(")
    attack("call_then_dropped.pt", torch_file(b"\x80\x02cos\nsystem\n" + TOUCH + b"0}."),
           "throws the result away, so that the tree looks clean", "os.system(")
    attack("call_then_broken.pt", torch_file(b"\x80\x02cos\nsystem\n" + TOUCH + b"\xff"),
           "breaks off after the command: scanners fail, Python has run it", "os.system(")
    attack("call_in_new_object.pt", torch_file(b"\x80\x02csubprocess\nPopen\nX\x02\x00\x00\x00ls\x85\x81."),
           "builds an object instead of calling", "subprocess.Popen.__new__('ls')")
    attack("call_by_dotted_name.pt", torch_file(b"\x80\x04\x8c\x05torch\x8c\x10hub.os.system.ok\x93)R."),
           "reaches through an allowed module", "torch.hub.os.system.ok()")
    attack("call_in_old_torch_file.bin",
           bytes.fromhex("80028a0a6cfc9c46f9206aa850192e") + b"\x80\x02M\xe9\x03." + b"\x80\x02}."
           + b"\x80\x02cos\nsystem\n" + TOUCH + b".",
           "the same in the format from before torch 1.6", "os.system(")
    attack("call_in_bare_pickle.bin", b"\x80\x02cos\nsystem\n" + TOUCH + b".", "the same without any container",
           "os.system(")
    attack("memo_bomb.pt", torch_file(b"\x80\x02Nr\xff\xff\xff\x7f."), "wants a memo of two thousand million",
           "memo number")
    attack("integer_bomb.pt", torch_file(b"\x80\x02\x8b\xff\xff\xff\x7f."), "announces an integer of 2 GiB",
           "integer of the pickle is too long")
    attack("nesting_bomb.pt", torch_file(b"\x80\x02" + b"]" * 20000 + b"a" * 19999 + b"."),
           "nests 20,000 lists to exhaust the stack", "nested too deeply")
    attack("billion_laughs.pt", torch_file(b"\x80\x02" + laughs(12) + b"."),
           "a list of lists of the same list: 10^12 values in 400 bytes", "too many values")
    attack("list_in_itself.pt", torch_file(b"\x80\x02]q\x00h\x00a."), "a list that contains itself",
           "nested too deeply")


def laughs(levels):
    """A list of ten times the same list of ten times the same list ..."""
    if levels == 0:
        return b"]q\x00(" + b"N" * 10 + b"e"
    return b"]q" + bytes([levels]) + b"(" + laughs(levels - 1) + (b"h" + bytes([levels - 1])) * 9 + b"e"


def tensors():
    attack("view_past_storage.pt", torch_file(state_dict(tensor(size=b"M\x00\x10\x85")), [("archive/data/0", bytes(8))]),
           "reads 16 KiB out of a storage of 8 bytes", "past the end of its storage")
    attack("offset_past_storage.pt",
           torch_file(state_dict(tensor(offset=b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f")), [("archive/data/0", bytes(8))]),
           "starts where additions overflow", "does not fit in 64 bits")
    attack("negative_offset.pt", torch_file(state_dict(tensor(offset=b"J\xfe\xff\xff\xff")), [("archive/data/0", bytes(8))]),
           "starts before its storage", "no whole number")
    attack("stride_overflow.pt",
           torch_file(state_dict(tensor(size=b"K\x05\x85", stride=b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85")),
                      [("archive/data/0", bytes(8))]),
           "strides whose product with the size wraps to 0", "does not fit in 64 bits")
    attack("shape_overflow.pt",
           torch_file(state_dict(tensor(size=b"\x8a\x05\x00\x00\x00\x00\x01\x8a\x05\x00\x00\x00\x00\x01\x86",
                                        stride=b"K\x00K\x00\x86")), [("archive/data/0", bytes(8))]),
           "2^32 x 2^32 values, 2^64 in all", "does not fit in 64 bits")
    attack("storage_longer_than_record.pt", torch_file(state_dict(tensor(elements=b"M\x00\x10")), [("archive/data/0", bytes(8))]),
           "claims a storage longer than its record", "another size than the pickle says")
    attack("storage_missing.pt", torch_file(state_dict(tensor(key=b"../../etc/passwd"))),
           "names a storage outside of the archive", "lacks the record of a storage")
    attack("same_key_twice.pt",
           torch_file(b"\x80\x02}(X\x01\x00\x00\x00w" + tensor() + b"X\x01\x00\x00\x00wK\x05u.", [("archive/data/0", bytes(8))]),
           "one name, two values: who checks sees one, who loads the other", "same key twice")


def archives():
    good = [("archive/data.pkl", b"\x80\x02}."), ("archive/version", b"3\n")]
    evil = b"\x80\x02cos\nsystem\n" + TOUCH + b"."
    attack("zip_local_name_differs.pt", zip_file(good, central={1: {"name": "archive/versioN"}}),
           "local header and directory name a record differently", "disagrees with the central directory")
    attack("zip_same_name_twice.pt", zip_file([good[0], ("archive/data.pkl", evil), good[1]]),
           "two data.pkl: scanners take one, loaders the other", "same name")
    attack("zip_overlap.pt", zip_file(good, central={1: dict(offset=0, name="archive/data.pkl", size=4, crc=zlib.crc32(b"\x80\x02}."))}),
           "two records in one place", "overlap")
    attack("zip_compressed.pt", zip_file(good, central={0: {"method": 8}}), "compressed data, to hide or to explode",
           "compressed")
    attack("zip_size_out_of_bounds.pt", zip_file(good, central={1: {"size": 0x7fffffff}}), "a record longer than the file",
           "out of bounds")
    attack("zip_too_many_records.pt", zip_file(good, end={"count": 60000}), "an end record that announces 60,000 records",
           "cannot hold so many records")
    attack("zip_behind_a_pickle.bin", zip_file(good, prefix=evil),
           "a pickle in front of a zip archive: each reader finds another file", "os.system(")
    attack("zip_outside_of_folder.pt", zip_file([*good, ("../../.bashrc", b"touch executed")]),
           "a record that would be unpacked elsewhere", "outside of its folder")
    attack("zip_two_folders.pt", zip_file([*good, ("other/data.pkl", evil)]), "a second pickle in the same archive",
           "two torch files")


def headers():
    attack("header_of_exabytes.safetensors", b"\xff" * 8 + b"{}", "announces a header of 16 EiB",
           "longer than the format allows")
    attack("header_nested.safetensors", safetensors(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
           "nests 5,000 lists to exhaust the stack", "nested too deeply")
    attack("header_same_name_twice.safetensors",
           safetensors(b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"\0"),
           "one name, two tensors: who checks sees one, who loads the other", "same name twice")
    attack("header_zero_byte.safetensors", safetensors(b'{}\0{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"\0"),
           "ends for readers that stop at a zero byte", "zero byte")
    attack("data_overlap.safetensors", safetensors({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
           "two tensors in one place", "overlap")
    attack("data_hole.safetensors", safetensors({"a": entry(0, 4), "b": entry(36, 40)}, bytes(4) + b"MZ something else to be run    .." + bytes(3)),
           "a hole where other data travel along", "hole")
    attack("data_behind.safetensors", safetensors({"a": entry(0, 4)}, bytes(4) + b"PK\3\4 another file"),
           "another file behind the data", "after the data of the last tensor")
    attack("shape_overflow.safetensors", safetensors({"a": entry(0, 0, "F32", [2**32, 2**32])}),
           "2^64 values, which is 0 when multiplied carelessly", "does not fit in 64 bits")
    attack("offsets_backwards.safetensors", safetensors({"a": entry(8, 4, "U8", [4])}, bytes(8)),
           "ends before it begins: a negative length", "end before they begin")
    attack("name_draws_on_the_terminal.safetensors", safetensors({"w\x1b[2J\x1b[H": entry(0, 4, "U8", [3])}, bytes(4)),
           "clears the screen of who reads the error", "w\\x1b[2J")
    attack("outside_of_folder.index.json",
           json.dumps({"metadata": {}, "weight_map": {"w": "../../../../etc/passwd"}}).encode(),
           "names a shard in another folder", "outside of its folder")
    attack("nested.index.json", b'{"weight_map":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "nests 5,000 objects",
           "nested too deeply")


def names():
    key = b"X" + (1 << 16).to_bytes(4, "little") + b"k" * (1 << 16)
    attack("names_of_gigabytes.pt", torch_file(b"\x80\x02}" + key + b"](" + b"N" * 20000 + b"es."),
           "a key of 64 KiB above 20,000 values: names of 1.3 GB", "names in the torch file are too long")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    for group in (pickles, tensors, archives, headers, names):
        group()
    for name, data, _, _ in FILES:
        (folder / name).write_bytes(data)
    lines = ["# Hostile files", "",
             "Made by `scripts/oracles/make_attacks.py`. Each must be refused with exit code 3, at once, with little memory,",
             "and the error must contain the words of the last column (`tests/format/attacks_test.cpp` reads this table).",
             "Do not load them with Python: some would run `touch executed-by-pickle`.", "",
             "| file | tries | the error says |", "|---|---|---|"]
    lines += [f"| {name} | {tries} | `{answer}` |" for name, _, tries, answer in FILES]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
