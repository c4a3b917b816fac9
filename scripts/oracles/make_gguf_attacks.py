"""Writes the hostile GGUF files and importance matrices of tests/attacks/gguf/ and their README.

Usage: make_gguf_attacks.py [FOLDER]
"""
import pathlib
import struct
import sys

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/attacks/gguf"
FIRST = 101
FILES = []  # name, bytes, what it tries, what galatea answers

U32, I32, F32, BOOL, STR, ARR, U64 = 4, 5, 6, 7, 8, 9, 10
TYPE_F32, TYPE_F16, TYPE_Q4_0 = 0, 1, 2


def attack(name, data, tries, answer):
    FILES.append((f"{len(FILES) + FIRST}_{name}", data, tries, answer))


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def u32(key, value):
    return entry(key, U32, struct.pack("<I", value))


def string(key, value):
    return entry(key, STR, text(value))


def array(kind, items, count=None):
    return struct.pack("<IQ", kind, len(items) if count is None else count) + b"".join(items)


def info(name, extents, offset=0, kind=TYPE_F32, rank=None):
    """Extents innermost first, as they are stored."""
    return (text(name) + struct.pack("<I", len(extents) if rank is None else rank)
            + b"".join(struct.pack("<Q", n) for n in extents) + struct.pack("<IQ", kind, offset))


def gguf(entries=(), infos=(), data=b"", version=3, tensors=None, count=None):
    head = (b"GGUF" + struct.pack("<IQQ", version, len(infos) if tensors is None else tensors,
                                  len(entries) if count is None else count) + b"".join(entries) + b"".join(infos))
    return head + bytes(-len(head) % 32) + data


def model(change=(), infos=(), data=b""):
    """The metadata of a small LLaMA, some entries changed."""
    entries = {"general.architecture": string("general.architecture", "llama")}
    for key, value in (("block_count", 1), ("context_length", 64), ("embedding_length", 32), ("feed_forward_length", 32),
                       ("attention.head_count", 2), ("attention.head_count_kv", 2), ("vocab_size", 4)):
        entries["llama." + key] = u32("llama." + key, value)
    tokens = [text(t) for t in ("<unk>", "<s>", "</s>", "a")]
    kinds = [struct.pack("<i", t) for t in (2, 3, 3, 1)]
    entries["tokenizer.ggml.model"] = string("tokenizer.ggml.model", "llama")
    entries["tokenizer.ggml.tokens"] = entry("tokenizer.ggml.tokens", ARR, array(STR, tokens))
    entries["tokenizer.ggml.scores"] = entry("tokenizer.ggml.scores", ARR, array(F32, [bytes(4)] * 4))
    entries["tokenizer.ggml.token_type"] = entry("tokenizer.ggml.token_type", ARR, array(I32, kinds))
    entries.update(change)
    return gguf(list(entries.values()), infos, data)


def headers():
    attack("only_the_magic.gguf", b"GGUF", "ends behind its first four bytes", "ends within its header")
    attack("version_of_the_future.gguf", gguf(version=4), "a version that nobody knows", "version that galatea does not know")
    attack("big_endian.gguf", gguf(version=3 << 24), "the other order of bytes", "big-endian")
    attack("tensors_of_2_to_64.gguf", gguf(tensors=2**64 - 1), "announces 2^64 - 1 tensors",
           "claims more tensors than the file can hold")
    attack("entries_of_2_to_61.gguf", gguf(count=2**61), "announces so many entries that their size wraps to 0",
           "claims more metadata entries than the file can hold")
    attack("key_of_exabytes.gguf", gguf([struct.pack("<Q", 2**64 - 1) + b"k"], count=1), "a key of 16 EiB",
           "reaches past the end of the file")
    attack("key_not_utf8.gguf", gguf([u32(b"\xff\xfe", 1)]), "a key that is no text", "not UTF-8")
    attack("key_draws_on_the_terminal.gguf", gguf([u32("\x1b[2Jk", 1), u32("\x1b[2Jk", 1)]),
           "clears the screen of who reads the error", "\\x1b[2Jk")
    attack("key_twice.gguf", gguf([string("general.architecture", "llama"), string("general.architecture", "gpt2")]),
           "one key, two values: who checks sees one, who loads the other", "metadata key twice")
    attack("key_of_70000_bytes.gguf", gguf([u32("k" * 70000, 1)]), "a key longer than the format allows", "too long")
    attack("text_past_the_end.gguf", gguf([entry("k", STR, struct.pack("<Q", 2**40))]), "a text of a terabyte",
           "reaches past the end of the file")
    attack("truth_of_2.gguf", gguf([entry("k", BOOL, b"\x02")]), "a truth value that is neither", "neither 0 nor 1")
    attack("type_of_entry_unknown.gguf", gguf([entry("k", 13, bytes(8))]), "an entry of a type that there is none of",
           "unknown type")
    attack("array_wraps.gguf", gguf([entry("k", ARR, array(U64, [], 2**61))]),
           "an array whose number of bytes wraps to 0", "more array items than the file can hold")
    attack("array_of_texts_wraps.gguf", gguf([entry("k", ARR, array(STR, [], 2**40))]),
           "2^40 texts in no bytes at all", "more array items than the file can hold")
    deep = array(U32, [])
    for _ in range(5000):
        deep = array(ARR, [deep])
    attack("arrays_5000_deep.gguf", gguf([entry("k", ARR, deep)]), "nests arrays to exhaust the stack", "nested too deep")
    for name, value in (("0", 0), ("3", 3), ("2_to_31", 2**31)):
        attack(f"alignment_{name}.gguf", gguf([u32("general.alignment", value)]),
               {"0": "divides by the alignment", "3": "an alignment that masks do not fit"}.get(
                   name, "2 GiB of padding between tensors"), "general.alignment is unusable")


def tables():
    one = bytes(128)
    attack("rank_of_2_to_32.gguf", gguf(infos=[info("t", [1], rank=2**32 - 1)]), "a tensor of 4 thousand million dimensions",
           "too many dimensions")
    attack("shape_wraps.gguf", gguf(infos=[info("t", [2**32, 2**32])], data=one), "2^64 values, which is 0 when multiplied carelessly",
           "does not fit in 64 bits")
    attack("bytes_wrap.gguf", gguf(infos=[info("t", [2**62])], data=one), "2^62 values of four bytes", "does not fit in 64 bits")
    attack("extent_of_0.gguf", gguf(infos=[info("t", [32, 0])], data=one), "a tensor without values", "a tensor is empty")
    attack("rows_no_blocks.gguf", gguf(infos=[info("t", [31], kind=TYPE_Q4_0)], data=one), "rows that end inside of a block",
           "not whole blocks")
    attack("type_unknown.gguf", gguf(infos=[info("t", [32], kind=2**31)], data=one), "a type that there is none of",
           "a type that galatea does not read")
    attack("data_past_the_end.gguf", gguf(infos=[info("t", [2**40])], data=one), "4 TiB in a file of 200 bytes", "ends past the end of the file")
    attack("offset_wraps.gguf", gguf(infos=[info("t", [32], offset=2**64 - 64)], data=one),
           "an offset that wraps into the header", "ends past the end of the file")
    attack("offset_unaligned.gguf", gguf(infos=[info("t", [8], offset=4)], data=one), "a tensor off its alignment",
           "is no multiple of 32")
    attack("tensors_overlap.gguf", gguf(infos=[info("a", [16]), info("b", [16], offset=32)], data=one), "two tensors in one place",
           "lies over another")
    attack("tensor_twice.gguf", gguf(infos=[info("a", [8]), info("a", [8], offset=32)], data=one),
           "one name, two tensors: who checks sees one, who loads the other", "described twice")
    attack("name_of_70000_bytes.gguf", gguf(infos=[info("t" * 70000, [8])], data=one), "a name longer than the format allows", "too long")


def models():
    attack("layers_of_2_to_32.gguf", model({"llama.block_count": u32("llama.block_count", 2**32 - 1)}),
           "4 thousand million layers", "layers")
    attack("heads_of_0.gguf", model({"llama.attention.head_count": u32("llama.attention.head_count", 0)}),
           "divides by the number of heads", "head")
    attack("kv_heads_of_0.gguf", model({"llama.attention.head_count_kv": u32("llama.attention.head_count_kv", 0)}),
           "divides by the number of key-value heads", "head")
    attack("heads_do_not_divide.gguf", model({"llama.attention.head_count": u32("llama.attention.head_count", 7)}),
           "heads that do not divide the width", "head")
    attack("width_of_2_to_32.gguf", model({"llama.embedding_length": u32("llama.embedding_length", 2**32 - 2)}),
           "a width whose matrices are of exabytes", "hidden size is out of range")
    attack("layers_are_a_text.gguf", model({"llama.block_count": string("llama.block_count", "1")}), "a number that is a text",
           "is of the wrong kind")
    attack("scores_fewer_than_tokens.gguf",
           model({"tokenizer.ggml.scores": entry("tokenizer.ggml.scores", ARR, array(F32, [bytes(4)]))}),
           "reads scores behind their end", "not whole")
    attack("score_nan.gguf",
           model({"tokenizer.ggml.scores": entry("tokenizer.ggml.scores", ARR, array(F32, [struct.pack("<f", float("nan"))] * 4))}),
           "scores that no order holds", "not finite")
    attack("token_type_99.gguf",
           model({"tokenizer.ggml.token_type": entry("tokenizer.ggml.token_type", ARR, array(I32, [struct.pack("<i", 99)] * 4))}),
           "a type of token that there is none of", "unknown type 99")
    attack("tokens_are_numbers.gguf",
           model({"tokenizer.ggml.tokens": entry("tokenizer.ggml.tokens", ARR, array(U32, [bytes(4)] * 4))}),
           "tokens that are no texts", "is of the wrong kind")
    attack("token_twice.gguf",
           model({"tokenizer.ggml.tokens": entry("tokenizer.ggml.tokens", ARR, array(STR, [text(t) for t in ("<unk>", "<s>", "</s>", "<s>")]))}),
           "one text, two ids", "is there twice")
    attack("bos_outside.gguf", model({"tokenizer.ggml.bos_token_id": u32("tokenizer.ggml.bos_token_id", 4)}),
           "a special token behind the vocabulary", "outside of the vocabulary")
    attack("part_of_a_billion.gguf", model({"split.count": u32("split.count", 10**9), "split.no": u32("split.no", 0)}),
           "a split model of 10^9 parts", "another name than its metadata says")


def dat(count, entries=b""):
    return struct.pack("<i", count) + entries


def matrix(name, chunks, values, length=None, columns=None):
    raw = name.encode()
    return (struct.pack("<i", len(raw) if length is None else length) + raw + struct.pack("<i", chunks)
            + struct.pack("<i", len(values) if columns is None else columns)
            + b"".join(struct.pack("<f", v) for v in values))


def imatrix(infos, data, entries=()):
    return gguf([string("general.type", "imatrix"), *entries], infos, data)


def matrices():
    nan = float("nan")
    attack("matrices_of_2_to_31.imatrix.dat", dat(2**31 - 1), "announces two thousand million matrices", "not a number of matrices")
    attack("matrices_negative.imatrix.dat", dat(-1), "a negative number of matrices", "not a number of matrices")
    attack("name_of_2_to_31.imatrix.dat", dat(1, matrix("a", 1, [1.0], length=2**31 - 1)), "a name of 2 GiB", "not a length of a name")
    attack("columns_of_2_to_31.imatrix.dat", dat(1, matrix("a", 1, [1.0], columns=2**31 - 1)), "8 GiB of weights in a file of 30 bytes",
           "not a number of columns")
    attack("columns_past_the_end.imatrix.dat", dat(1, matrix("a", 1, [1.0], columns=2**24)), "64 MiB of weights in a file of 30 bytes",
           "ends too early")
    attack("chunks_negative.imatrix.dat", dat(1, matrix("a", -5, [1.0])), "weights that change their sign when divided",
           "not a number of chunks")
    attack("weight_nan.imatrix.dat", dat(1, matrix("a", 1, [1.0, nan])), "makes every comparison of the search false",
           "negative or no finite number")
    attack("weight_infinite.imatrix.dat", dat(1, matrix("a", 1, [float("inf")])), "sums that are infinite", "negative or no finite number")
    attack("weight_negative.imatrix.dat", dat(1, matrix("a", 1, [-1.0])), "a scale search that prefers errors", "negative or no finite number")
    attack("matrix_twice.imatrix.dat", dat(2, matrix("a", 1, [1.0]) * 2), "one name, two matrices", "has a tensor twice")
    pair = [info("a.in_sum2", [8, 1]), info("a.counts", [1, 1], offset=32)]
    floats = lambda *values: b"".join(struct.pack("<f", v) for v in values)
    attack("another_gguf.imatrix.gguf", gguf([string("general.type", "model")]), "a model for an importance matrix", "no importance matrix")
    attack("sums_without_counts.imatrix.gguf", imatrix(pair[:1], floats(*[1.0] * 8)), "sums that were never counted", "one count for each tensor")
    attack("count_nan.imatrix.gguf", imatrix(pair, floats(*[1.0] * 8, nan) + bytes(28)), "a count that is no number",
           "the count of an importance matrix")
    attack("count_negative.imatrix.gguf", imatrix(pair, floats(*[1.0] * 8, -2.0) + bytes(28)), "a negative count",
           "the count of an importance matrix")
    attack("sum_negative.imatrix.gguf", imatrix(pair, floats(*[-1.0] * 8, 2.0) + bytes(28)), "sums of squares below zero",
           "negative or no finite number")
    attack("counts_as_long_as_sums.imatrix.gguf",
           imatrix([pair[0], info("a.counts", [8, 1], offset=32)], floats(*[1.0] * 16)), "counts of another shape", "one count for each tensor")
    attack("sums_of_another_type.imatrix.gguf", imatrix([info("a.in_sum2", [8, 1], kind=TYPE_F16), pair[1]], bytes(64)),
           "sums that are no float32", "one count for each tensor")
    attack("no_matrices.imatrix.gguf", imatrix([], b""), "nothing at all", "an importance matrix without tensors")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    for group in (headers, tables, models, matrices):
        group()
    for name, data, _, _ in FILES:
        (folder / name).write_bytes(data)
    lines = ["# Hostile GGUF files and importance matrices", "",
             "Made by `scripts/oracles/make_gguf_attacks.py`. Models are opened, their tensors and vocabulary looked for, as for a",
             "conversion; `.imatrix.` files are read as importance matrices. Each must be refused with exit code 3, at once, with",
             "little memory, and the error must contain the words of the last column (`tests/quantize/gguf_attacks_test.cpp` reads",
             "this table).", "",
             "| file | tries | the error says |", "|---|---|---|"]
    lines += [f"| {name} | {tries} | `{answer}` |" for name, _, tries, answer in FILES]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
