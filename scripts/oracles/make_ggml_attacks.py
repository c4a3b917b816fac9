"""Writes the hostile GGML, GGMF and GGJT files of tests/attacks/ggml/ and their README.

Usage: make_ggml_attacks.py [FOLDER]
"""
import pathlib
import struct
import sys

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/attacks/ggml"
FIRST = 201
FILES = []  # name, bytes, what it tries, what galatea answers
LARGEST = 2**32 - 1

NUMBERS = {"n_vocab": 4, "n_embd": 4, "n_mult": 4, "n_head": 1, "n_layer": 1, "n_rot": 4, "ftype": 0}
TOKENS = [(b" \xe2\x81\x87 ", 0.0), (b"", 0.0), (b"", 0.0), (b"a", 0.0)]
SHAPES = {"tok_embeddings": (4, 4), "norm": (4,), "output": (4, 4), "layers.0.attention.wq": (4, 4),
          "layers.0.attention.wk": (4, 4), "layers.0.attention.wv": (4, 4), "layers.0.attention.wo": (4, 4),
          "layers.0.feed_forward.w1": (8, 4), "layers.0.feed_forward.w2": (4, 8), "layers.0.feed_forward.w3": (8, 4),
          "layers.0.attention_norm": (4,), "layers.0.ffn_norm": (4,)}


def attack(name, data, tries, answer):
    FILES.append((f"{len(FILES) + FIRST}_{name}.bin", data, tries, answer))


def start(kind="GGJT", version=1, tokens=None, **numbers):
    """Everything in front of the tensors."""
    out = {"GGML": b"lmgg", "GGMF": b"fmgg", "GGJT": b"tjgg"}[kind]
    if kind != "GGML":
        out += struct.pack("<I", version)
    out += struct.pack("<7I", *{**NUMBERS, **numbers}.values())
    for text, score in TOKENS if tokens is None else tokens:
        out += struct.pack("<I", len(text)) + text
        if kind != "GGML":
            out += struct.pack("<f", score)
    return out


def tensor(before, name, shape, kind=0, rank=None, length=None, data=None):
    """`before` with a tensor behind it; padded as in GGJT when `before` is one."""
    raw = name if isinstance(name, bytes) else name.encode()
    out = before + struct.pack("<3I", len(shape) if rank is None else rank, len(raw) if length is None else length, kind)
    out += b"".join(struct.pack("<I", n) for n in reversed(shape)) + raw
    if before[:4] == b"tjgg":
        out += bytes(-len(out) % 32)
    size = 4
    for n in shape:
        size *= n
    return out + (bytes(size) if data is None else data)


def model(change=(), without=(), **options):
    out = start(**options)
    for name, shape in {**SHAPES, **dict(change)}.items():
        if name not in without:
            out = tensor(out, name + ".weight", shape)
    return out


def heads():
    attack("only_the_magic", b"lmgg", "ends behind its first four bytes", "ends within its header")
    attack("ggmf_of_version_2", start("GGMF", 2), "a version that there never was", "a version that there was never")
    attack("ggjt_of_version_0", start(version=0), "a version that there never was", "a version that there was never")
    attack("ggjt_of_version_2_to_32", start(version=LARGEST), "a version that there never was", "a version that there was never")
    attack("tokens_of_2_to_32", start(n_vocab=LARGEST), "announces 4 thousand million tokens", "more tokens than the file can hold")
    attack("tokens_of_2_to_23", start("GGML", n_vocab=2**23), "tokens that would fit if they took no bytes",
           "more tokens than the file can hold")
    attack("no_tokens", start(n_vocab=0), "a vocabulary of nothing", "or none")
    attack("token_of_4_gib", start(tokens=TOKENS[:3]) + struct.pack("<I", LARGEST) + bytes(40), "a token of 4 GiB", "token is too long")
    attack("token_past_the_end", start(tokens=TOKENS[:3]) + struct.pack("<I", 1000) + b"abc" + bytes(40),
           "a token longer than the file", "reaches past the end of the file")
    attack("ends_within_the_tokens", start()[:-2], "ends within the vocabulary", "ends within its header")


def tensors():
    attack("rank_0", tensor(start(), "t", (), data=b""), "a tensor without extents", "neither a vector nor a matrix")
    attack("rank_of_2_to_32", tensor(start(), "t", (1,), rank=LARGEST), "a tensor of 4 thousand million dimensions",
           "neither a vector nor a matrix")
    attack("name_of_4_gib", tensor(start(), "t", (1,), length=LARGEST), "a name of 4 GiB", "tensor name is too long")
    attack("name_draws_on_the_terminal", tensor(model(), "\x1b[2Jt", (4,)), "clears the screen of who reads the error",
           "\\x1b[2Jt")
    attack("type_unknown", tensor(start(), "t", (32,), kind=99), "a type that there is none of", "ggml type 99")
    attack("type_of_another_time", tensor(start(version=2), "t", (32,), kind=4), "Q4_2 in a file of blocks that have none",
           "do not have")
    attack("k_quants_too_early", tensor(start(version=2), "t", (256,), kind=12), "Q4_K before there was any", "do not have")
    attack("extent_of_0", tensor(start(), "t", (4, 0)), "a tensor without values", "a tensor is empty")
    attack("shape_wraps", tensor(start(), "t", (LARGEST, LARGEST), data=bytes(64)),
           "2^64 values, less than the file has when multiplied carelessly", "does not fit in 64 bits")
    attack("rows_no_blocks", tensor(start(), "t", (4, 31), kind=2), "rows that end inside of a block", "not whole blocks")
    attack("data_past_the_end", tensor(start(), "t", (2**20, 2**20), data=bytes(64)), "4 TiB in a file of 300 bytes",
           "ends past the end of the file")
    attack("tensor_twice", tensor(tensor(start(), "norm.weight", (4,)), "norm.weight", (4,)),
           "one name, two tensors: who checks sees one, who loads the other", "a tensor is there twice")
    attack("ends_within_the_padding", tensor(start(), "norm.weight", (4,), data=b"")[:-1], "ends before the data begin",
           "ends in front of a tensor's data")
    attack("bytes_behind", model() + b"PK\x03\x04" + bytes(3), "another file behind the last tensor", "ends within its header")


def models():
    attack("width_of_0", model(n_embd=0), "divides by the width", "contradicts itself")
    attack("width_of_2_to_32", model(n_embd=LARGEST - 3), "a width whose matrices are of exabytes",
           "another width than the file's head says")
    attack("heads_of_0", model(n_head=0), "divides by the number of heads", "contradicts itself")
    attack("heads_of_2_to_32", model(n_head=LARGEST, n_rot=0), "heads of no width", "head")
    attack("layers_of_2_to_32", model(n_layer=LARGEST), "4 thousand million layers", "layers")
    attack("parts_of_a_million", model(kind="GGML", n_embd=4 * 2**20), "a model in a million files",
           "another width than the file's head says")
    attack("part_missing", model(kind="GGMF", n_embd=8), "half of a model", "a part of the model is missing")
    attack("parts_of_ggjt", model(n_embd=8, n_rot=8), "parts where there are none", "another width than the file's head says")
    attack("no_embedding", model(without=["tok_embeddings"]), "a model without its first matrix", "weight of the model is missing")
    attack("embedding_is_a_vector", model({"tok_embeddings": (16,)}), "reads a second extent", "or no matrix")
    attack("embedding_of_fewer_tokens", model({"tok_embeddings": (3, 4)}), "tokens that have no row", "another shape than")
    attack("no_key_matrix", model(without=["layers.0.attention.wk"]), "heads that cannot be counted", "weight of the model is missing")
    attack("keys_of_no_head", model({"layers.0.attention.wk": (2, 4)}), "less than one key-value head", "key-value heads")
    attack("second_layer_missing", model(n_layer=2), "fewer layers than it says", "tensor(s) of the model are missing")
    attack("not_a_llama", tensor(model(), "model/h0/attn/c_attn/w", (4,)), "GPT-2 in the same container", "no part of a LLaMA")


def vocabularies():
    attack("token_twice", model(tokens=TOKENS[:3] + [(b"<s>", 0.0)]), "two tokens of one text", "twice")
    attack("token_not_utf8", model(tokens=TOKENS[:3] + [(b"\xff\xfe", 0.0)]), "a token that is no text", "UTF-8")
    attack("score_nan", model(tokens=TOKENS[:3] + [(b"a", float("nan"))]), "a score that compares with nothing", "score")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    for group in (heads, tensors, models, vocabularies):
        group()
    for name, data, _, _ in FILES:
        (folder / name).write_bytes(data)
    lines = ["# Hostile GGML, GGMF and GGJT files", "",
             "Made by `scripts/oracles/make_ggml_attacks.py`. Each is opened, its tensors and vocabulary looked for, as for a",
             "conversion, and must be refused with exit code 3, at once, with little memory; the error must contain the words of",
             "the last column (`tests/format/ggml_attacks_test.cpp` reads this table).", "",
             "| file | tries | the error says |", "|---|---|---|"]
    lines += [f"| {name} | {tries} | `{answer}` |" for name, _, tries, answer in FILES]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
