#!/usr/bin/env bash
# How fast files are hashed and checkpoints compared, beside openssl, cmp and a numpy script in the same run.
#
#   scripts/bench_verify.sh [FOLDER]    FOLDER (default /dev/shm, which is memory: the disk is not what is measured)
#                                       needs 6 GB
#
# Weights are generated, and removed again at the end. Each takes the best of ROUNDS (default 3) runs; the numpy script
# (scripts/oracles/diff_peer.py) needs a Python with numpy and safetensors (PYTHON, default python3).
. "$(dirname "$0")/lib.sh"
. "$root/scripts/lib_bench.sh"

place=${1:-/dev/shm}
say "building"
build galatea_program generate_meta
python=${PYTHON:-python3}
galatea=$root/build/release/galatea
peer=$root/scripts/oracles/diff_peer.py
work_in "$place"
accepted=1  # the files differ

say "generating 1 layer of 7B shapes"
"$root/build/release/tests/generate_meta" meta 7B "$root/tests/data/miniature/meta/tokenizer.model" --layers 1
"$galatea" --quiet convert meta a --to safetensors >/dev/null
a=a/model.safetensors
[ -e "$a" ] || die "the conversion wrote several shards"
rm -r meta
for i in 1 2 3; do cp "$a" "copy$i.safetensors"; done
mkdir files && mv copy?.safetensors files && cp "$a" files/copy4.safetensors
(cd files && sha256sum ./*.safetensors >SUMS)

bytes=$((4 * $(stat -c %s "$a")))
say "SHA-256 of four files, $((bytes / 1000000)) MB, on $(nproc) processors"
read -r ours peak < <(measured "$galatea" --quiet verify files --manifest files/SUMS)
rate_row "galatea verify --manifest" "$ours" "$peak"
read -r theirs peak < <(measured bash -c 'ls files/*.safetensors | xargs -n 1 -P "$(nproc)" openssl dgst -sha256')
rate_row "openssl dgst -sha256, one for each processor" "$theirs" "$peak"
ratio "galatea / openssl" "$ours" "$theirs"
"$galatea" verify files --manifest files/SUMS 2>&1 >/dev/null | grep '^hashed' || true

bytes=$(stat -c %s "$a")
say "structure and digests of tensors, $((bytes / 1000000)) MB"
read -r ours peak < <(measured "$galatea" --quiet verify "$a" --structure)
rate_row "galatea verify --structure" "$ours" "$peak"
read -r ours peak < <(measured "$galatea" --quiet verify "$a" --tensors)
rate_row "galatea verify --tensors" "$ours" "$peak"

bytes=$((2 * $(stat -c %s "$a")))
say "two checkpoints, $((bytes / 1000000)) MB together"
read -r ours peak < <(measured "$galatea" --quiet diff "$a" files/copy1.safetensors)
rate_row "galatea diff, the same values" "$ours" "$peak"
read -r theirs peak < <(measured cmp "$a" files/copy1.safetensors)
rate_row "cmp" "$theirs" "$peak"
ratio "galatea diff / cmp" "$ours" "$theirs"
if "$python" -c 'import numpy, safetensors' 2>/dev/null; then
  "$python" "$peer" make "$a" b.safetensors
  read -r ours peak < <(measured "$galatea" --quiet diff "$a" b.safetensors)
  rate_row "galatea diff, every value differs" "$ours" "$peak"
  read -r theirs peak < <(ROUNDS=1 measured "$python" "$peer" diff "$a" b.safetensors)
  rate_row "numpy" "$theirs" "$peak"
  ratio "numpy / galatea diff" "$theirs" "$ours"
fi
