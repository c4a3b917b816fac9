"""Runs the genuine convert_llama_weights_to_hf.py of the installed transformers on a Meta folder.

Usage: convert.py [META_FOLDER OUTPUT_FOLDER]
Its code is not changed. Registered from outside: the size "miniature" with its number of shards, the vocabulary
(the converter leaves LlamaConfig's default of 32000) and the maximal shard size (the default is 10 GB).
"""
import functools
import os
import pathlib
import shutil
import sys
import tempfile

import transformers
import transformers.models.llama.convert_llama_weights_to_hf as converter

import paths


class Model(converter.LlamaForCausalLM):
    def save_pretrained(self, folder):
        super().save_pretrained(folder, max_shard_size=paths.MAX_SHARD_SIZE)


Model.__name__ = "LlamaForCausalLM"


def convert(meta, output):
    converter.NUM_SHARDS["miniature"] = paths.META_SHARDS
    converter.LlamaConfig = functools.partial(transformers.LlamaConfig, vocab_size=paths.VOCAB)
    converter.LlamaForCausalLM = Model
    shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(pathlib.Path(meta).resolve(), os.path.join(folder, "miniature"))
        shutil.copy(os.path.join(meta, "tokenizer.model"), folder)
        converter.write_model(str(output), os.path.join(folder, "miniature"), "miniature")
        converter.write_tokenizer(str(output), os.path.join(folder, "tokenizer.model"))


def run():
    convert(paths.META, paths.BASE)


if __name__ == "__main__":
    convert(*sys.argv[1:3]) if len(sys.argv) == 3 else run()
