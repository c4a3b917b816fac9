#!/usr/bin/env bash
# The files of `galatea quantize` beside those of a llama-quantize program, tensor by tensor, bit for bit.
#
#   scripts/compare_quantize.sh LLAMA_QUANTIZE [TYPE...]     without TYPE: every type and mix
#
# The miniature release is quantized by both from the same F16 GGUF, without and with an importance matrix, and --pure;
# then a model of 576 columns, whose rows are no whole blocks of 256, with --fallback. Compared are the type, shape and
# stored bytes of each tensor and all entries of the metadata. LLAMA_QUANTIZE must have been built without contraction of
# its reference quantizers (-ffp-contract=off, or for a processor without FMA). Needs a Python with gguf (PYTHON,
# default python3). Exit code 1 when anything differs.
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: scripts/compare_quantize.sh LLAMA_QUANTIZE [TYPE...]"
peer=$(realpath "$1")
shift
python=${PYTHON:-python3}
"$python" -c 'import gguf' 2>/dev/null || die "needs a Python with gguf: PYTHON=..."
say "building"
build galatea_program generate_meta
galatea=$root/build/release/galatea
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-compare.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
data=$root/tests/data
"$galatea" --quiet convert "$data/miniature/base-hf" m.gguf --to gguf --dtype F16 >/dev/null
"$root/build/release/tests/generate_meta" small 576 "$data/miniature/meta/tokenizer.model" --layers 2 --vocabulary 512
"$galatea" --quiet convert small small.gguf --to gguf --dtype F16 >/dev/null

types=("$@")
if [ $# -eq 0 ]; then
  mapfile -t types < <("$galatea" quantize --help | awk '/--type TYPE/ {on = 1} /--pure/ {on = 0} on' |
    tr -s ' ' '\n' | grep -E '^(I?Q[0-9]|B?F[0-9]|TQ|MXFP4)')
fi
differ=0 same=0 refused=0

# compare LABEL TYPE INPUT OURS_OPTIONS PEERS_OPTIONS
compare() {
  local label=$1 type=$2 input=$3 theirs=$2 verdict
  [ "$type" = MXFP4 ] && theirs=MXFP4_MOE
  rm -f ours.gguf peers.gguf
  # shellcheck disable=SC2086
  if ! "$peer" $5 "$input" peers.gguf "$theirs" 2 >peer.log 2>&1; then
    if "$galatea" --quiet quantize "$input" ours.gguf --type "$type" $4 >/dev/null 2>our.log; then
      verdict="the peer refuses, we do not: $(grep -m 1 -iE 'error|failed|invalid' peer.log | cut -c 1-70)"
    else
      verdict="both refuse"
    fi
    refused=$((refused + 1))
  elif ! "$galatea" --quiet quantize "$input" ours.gguf --type "$type" $4 >/dev/null 2>our.log; then
    verdict="WE REFUSE: $(head -n 1 our.log)"
    differ=$((differ + 1))
  elif verdict=$("$python" "$root/scripts/oracles/compare_gguf.py" ours.gguf peers.gguf); then
    cmp -s ours.gguf peers.gguf && verdict+=", the whole file"
    verdict="same  $verdict"
    same=$((same + 1))
  else
    verdict="DIFFER  $verdict"
    differ=$((differ + 1))
  fi
  printf '%-9s %-22s %s\n' "$type" "$label" "$verdict"
}

imatrix=$data/imatrix/miniature.imatrix.gguf
for type in "${types[@]}"; do
  # Ours named MXFP4 gives that type to matrices; llama-quantize's MXFP4_MOE to experts only, but for --pure.
  [ "$type" = MXFP4 ] || compare "" "$type" m.gguf "" ""
  [ "$type" = MXFP4 ] || compare "imatrix" "$type" m.gguf "--imatrix $imatrix" "--imatrix $imatrix"
  [ "$type" = MXFP4_MOE ] || compare "pure" "$type" m.gguf "--pure" "--pure"
  [ "$type" = MXFP4 ] || compare "576 columns, fallback" "$type" small.gguf "--fallback" ""
done
say "$same files the same, $differ differ, $refused refused"
[ "$differ" -eq 0 ]
