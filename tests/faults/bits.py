#!/usr/bin/env python3
"""One flipped bit, anywhere: found by the command that reads it or by verify, and named.

usage: bits.py PROGRAM DATA_FOLDER SCRATCH_FOLDER [POSITIONS]

POSITIONS (default 30, with GALATEA_LONG=1 2000) random positions of each kind of file. What must be said of each: its
file, and for weights the tensor or the record where it lies in one. A journal with a flipped bit costs work at most:
the same command ends with the same bytes. GALATEA_BITS_SEED repeats a run.
"""

import hashlib
import os
import pathlib
import random
import resource
import shutil
import struct
import subprocess
import sys

program, data, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
positions = int(sys.argv[4]) if len(sys.argv) > 4 else 2000 if os.environ.get("GALATEA_LONG", "0") != "0" else 30
seed = int(os.environ.get("GALATEA_BITS_SEED", random.randrange(2**31)))
chance = random.Random(seed)
mini = data / "miniature"
shutil.rmtree(scratch, ignore_errors=True)
scratch.mkdir(parents=True)
os.chdir(scratch)
for part in ("payload", "base-hf", "adapter"):
    shutil.copytree(mini / part, part)
failures = []


def galatea(*arguments, **options):
    return subprocess.run([program, "--quiet", *map(str, arguments)], capture_output=True, text=True, errors="replace",
                          **options)


def must(*arguments):
    done = galatea(*arguments)
    if done.returncode != 0:
        sys.exit("%s: exit code %d\n%s" % (" ".join(map(str, arguments)), done.returncode, done.stderr))
    return done.stdout


class Flipped:
    """One bit of the file is the other way round while the block runs."""

    def __init__(self, path, among=None):
        self.path = pathlib.Path(path)
        self.byte = chance.choice(among or range(self.path.stat().st_size))
        self.bit = 1 << chance.randrange(8)

    def flip(self):
        with open(self.path, "r+b") as file:
            file.seek(self.byte)
            value = file.read(1)[0]
            file.seek(self.byte)
            file.write(bytes([value ^ self.bit]))

    def __enter__(self):
        self.flip()
        return self

    def __exit__(self, *_):
        self.flip()


def zip_bytes(path):
    """The bytes of a zip archive that are not data, and those among them that say nothing of the content, as the format
    defines them: versions, times, attributes, and the extra fields of local headers whose numbers stand after the data
    (padding, as torch writes)."""
    archive = path.read_bytes()
    tables, silent = set(range(len(archive))), set()

    def note(at, count):
        silent.update(range(at, at + count))

    end = archive.rindex(b"PK\5\6")
    at, = struct.unpack_from("<I", archive, end + 16)
    if archive[end - 20:end - 16] == b"PK\6\7":
        end64, = struct.unpack_from("<Q", archive, end - 12)
        at, = struct.unpack_from("<Q", archive, end64 + 48)
        note(end64 + 12, 4)
        note(end - 4, 1)  # 0 or 1 disks in all
    while archive[at:at + 4] == b"PK\1\2":
        name, extra, comment = struct.unpack_from("<3H", archive, at + 28)
        size, = struct.unpack_from("<I", archive, at + 24)
        local, = struct.unpack_from("<I", archive, at + 42)
        note(at + 4, 4)
        note(at + 12, 4)
        note(at + 36, 6)
        flags, = struct.unpack_from("<H", archive, local + 6)
        local_name, local_extra = struct.unpack_from("<2H", archive, local + 26)
        note(local + 4, 2)
        note(local + 10, 4)
        if flags & 8:
            note(local + 30 + local_name, local_extra)
            if size.bit_count() == 1:  # one bit makes the nothing before the data what the descriptor says after them
                note(local + 18 + (size.bit_length() - 1) // 8, 1)
                note(local + 22 + (size.bit_length() - 1) // 8, 1)
        data = local + 30 + local_name + local_extra
        tables.difference_update(range(data, data + size))
        at += 46 + name + extra + comment
    return sorted(tables), silent


def check(kind, files, command, codes, named, silent=None, among=None):
    """Flips, runs `command()`, wants one of `codes` and the file's name in what is said; counts what `named` finds.
    Bytes of `silent`, by file, may be found or not; `among`, by file, are the bytes to flip, otherwise any."""
    files = [pathlib.Path(file) for file in files]
    sizes = [file.stat().st_size for file in files]
    with_name, passed, before = 0, 0, len(failures)
    for _ in range(positions):
        file = chance.choices(files, weights=sizes)[0]
        with Flipped(file, among and among[file]) as flipped:
            done = command()
            said = done.stdout + done.stderr
        if done.returncode == 0 and silent is not None and flipped.byte in silent[file]:
            passed += 1
        elif done.returncode not in codes or file.name not in said:
            failures.append("%s: %s, byte %d, bit %d: exit code %d\n%s" % (
                kind, file, flipped.byte, flipped.bit, done.returncode, said[-600:]))
        elif any(word in said for word in named):
            with_name += 1
    print("%s: %d bits flipped, %d found%s%s" % (
        kind, positions, positions - passed - len(failures) + before,
        ", %d in bytes that say nothing of the content" % passed if passed else "",
        "; %d times the tensor or record was named" % with_name if named else ""))


def decode():
    shutil.rmtree("decoded", ignore_errors=True)
    return galatea("decode", "payload", "--base", "base-hf", "--out", "decoded", "--release", mini / "release.json")


def weights(folder):
    return sorted(pathlib.Path(folder).glob("*.bin"))


def files_of(folder):
    return sorted(path for path in pathlib.Path(folder).iterdir() if path.is_file() and "galatea" not in path.name)


def sums(folder):
    return "".join("%s  %s\n" % (hashlib.sha256(path.read_bytes()).hexdigest(), path.name) for path in files_of(folder))


tensor = ("tensor:", "zip record", "model.")
check("payload", files_of("payload"), decode, (1, 3), tensor)
# The base's files that the decoded ones are made with; its other files are not read.
check("base", [pathlib.Path("base-hf") / path.name for path in files_of("payload")], decode, (1, 3), tensor)

pathlib.Path("adapter.sums").write_text(sums("adapter"))
check("adapter", files_of("adapter"), lambda: galatea("verify", "adapter", "--manifest", "adapter.sums"), (1,), ())

must("decode", "payload", "--base", "base-hf", "--out", "model")
must("merge-lora", "base-hf", "adapter", "--out", "merged")
must("quantize", "model", "q.gguf", "--type", "Q4_K_M")
pathlib.Path("q.tensors").write_text(must("verify", "q.gguf", "--tensors"))
tables = {path: zip_bytes(path)[0] for path in weights("model")}
silent = {path: zip_bytes(path)[1] for path in weights("model")}
check("weights, by their structure", weights("model"), lambda: galatea("verify", "model", "--structure"), (1, 3), tensor,
      silent)
check("their tables", weights("model"), lambda: galatea("verify", "model", "--structure"), (1, 3), tensor, silent, tables)
check("quantized file, by its record", ["q.gguf"], lambda: galatea("verify", "q.gguf", "--chain"), (1, 3), ())
check("the chain behind it", files_of("payload") + files_of("model"), lambda: galatea("verify", "q.gguf", "--chain"),
      (1, 3), ())
check("adapter and base behind a merge", files_of("adapter") + weights("base-hf"),
      lambda: galatea("verify", "merged", "--chain"), (1, 3), ())


def unfinished(folder):
    """decode, stopped on the way by a limit on the size of files."""
    shutil.rmtree(folder, ignore_errors=True)
    limit = 1300 * 1024
    environment = dict(os.environ, GALATEA_MARK_BYTES="16384")
    galatea("decode", "payload", "--base", "base-hf", "--out", folder, env=environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))


unfinished("stopped")
left = [path for path in pathlib.Path("stopped").iterdir() if path.name.startswith(".") and path.stat().st_size > 0]
journals = [path for path in left if "journal" in path.name]
if not journals:
    sys.exit("the stopped run left no journal: %s" % left)
shutil.copytree("stopped", "stopped.kept")
whole, same = sums("model"), 0
for number in range(positions):
    shutil.rmtree("stopped")
    shutil.copytree("stopped.kept", "stopped")
    flipped = Flipped(pathlib.Path("stopped") / chance.choice(left).name if number % 2 else
                      pathlib.Path("stopped") / journals[0].name)
    flipped.flip()
    done = galatea("decode", "payload", "--base", "base-hf", "--out", "stopped")
    if done.returncode == 2 and "exists already" in done.stderr:
        # Nothing is known any more of the files that are whole; they are made again when that is asked for.
        done = galatea("decode", "payload", "--base", "base-hf", "--out", "stopped", "--overwrite")
    if done.returncode == 0 and sums("stopped") == whole:
        same += 1
    else:
        failures.append("journal: %s, byte %d, bit %d: exit code %d\n%s" % (
            flipped.path, flipped.byte, flipped.bit, done.returncode, done.stderr[-600:]))
print("journal and unfinished file: %d bits flipped, %d times the same bytes in the end" % (positions, same))

for failure in failures[:20]:
    print("NOT FOUND: " + failure)
print("seed %d" % seed)
sys.exit(1 if failures else 0)
