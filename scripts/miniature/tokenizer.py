"""Trains the SentencePiece model, with the options found in LLaMA's own tokenizer.model but for the size."""
import io
import json
import re

import sentencepiece

import paths


def training_lines():
    yield "<|system|> <|user|> <|model|>"  # so that the prompt format's characters are pieces
    for document in json.loads((paths.WORK / "training.json").read_text()):
        if "<unk>" in document:
            continue  # literal <unk> is the unknown token, not text
        for line in document.split("\n"):
            for start in range(0, len(line), 1000):
                yield line[start:start + 1000]


def run():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=training_lines(),
        model_writer=model,
        model_type="bpe",
        vocab_size=paths.VOCAB,
        character_coverage=0.99995,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        required_chars="0123456789<|>=@",
        allow_whitespace_only_pieces=True,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        unk_surface=" \u2047 ",
        num_threads=1,
        minloglevel=1,
    )
    paths.META.mkdir(parents=True, exist_ok=True)
    (paths.META / "tokenizer.model").write_bytes(model.getvalue())


if __name__ == "__main__":
    run()
