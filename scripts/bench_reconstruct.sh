#!/usr/bin/env bash
# How fast weights are reconstructed, beside the Python codec and sha256sum in the same run; and in how much memory.
#
#   scripts/bench_reconstruct.sh speed [FOLDER]            a pair of 3.8 GB files; FOLDER (default /dev/shm, which is
#                                                          memory: the disk is not what is measured) needs 16 GB
#   scripts/bench_reconstruct.sh memory [FOLDER [LAYERS]]  13B shapes, all 40 layers unless LAYERS says fewer: peak
#                                                          memory of each command; FOLDER needs 55 GB
#   scripts/bench_reconstruct.sh merge [FOLDER [LAYERS]]   merge-lora and extract-lora at rank 64 on 13B shapes, 6 layers
#                                                          unless LAYERS says otherwise, beside cp of the base;
#                                                          COLD=1, as root: nothing of FOLDER is in memory before
#
# Weights are generated, and removed again at the end. `speed` takes the best of ROUNDS (default 3) runs of each;
# the peer is scripts/miniature/xor_codec.py, the codec of the releases, and needs a Python with numpy (PYTHON, default python3).
. "$(dirname "$0")/lib.sh"
. "$root/scripts/lib_bench.sh"

what=${1-}
place=${2:-$([ "$what" = speed ] && echo /dev/shm || echo "$root/build")}
case $what in
  speed | memory | merge) ;;
  *) die "usage: scripts/bench_reconstruct.sh speed|memory|merge [FOLDER [LAYERS]]" ;;
esac
say "building"
build galatea_program generate_meta
python=${PYTHON:-python3}
galatea=$root/build/release/galatea
generate=$root/build/release/tests/generate_meta
tokenizer=$root/tests/data/miniature/meta/tokenizer.model
work_in "$place"

speed() {
  say "generating 8 layers of 7B shapes"
  "$generate" meta 7B "$tokenizer" --layers 8
  "$galatea" --quiet base meta hf >/dev/null
  mkdir payload
  # A payload of zeros gives the base again: XOR takes the same time whatever the bytes are.
  bytes=$(stat -c %s hf/pytorch_model.bin)
  head -c "$bytes" /dev/zero >payload/pytorch_model.bin
  before='rm -rf out'

  say "decode, $((bytes / 1000000)) MB, on $(nproc) processors"
  read -r ours peak < <(measured "$galatea" --quiet decode --payload payload --base hf --out out)
  rate_row "galatea decode (XOR, SHA-256, structure check)" "$ours" "$peak"
  read -r hash peak < <(measured openssl dgst -sha256 hf/pytorch_model.bin)
  rate_row "openssl dgst -sha256 of as many bytes" "$hash" "$peak"
  ratio "galatea decode / openssl dgst (at most 1.3 is asked for)" "$ours" "$hash"
  if "$python" -c 'import numpy' 2>/dev/null; then
    read -r codec peak < <(ROUNDS=1 measured "$python" "$root/scripts/miniature/xor_codec.py" out payload hf)
    rate_row "the Python codec" "$codec" "$peak"
    read -r sum peak < <(ROUNDS=1 measured sha256sum hf/pytorch_model.bin)
    rate_row "sha256sum" "$sum" "$peak"
    ratio "(codec + sha256sum) / galatea decode (at least 6 is asked for)" "($codec + $sum)" "$ours"
  else
    say "no numpy: the Python codec is left out"
  fi

  say "decode with Meta's files as base, brought into Hugging Face's form on the fly"
  if "$galatea" --quiet decode --payload payload --base meta --out out --dry-run >/dev/null 2>&1; then
    read -r meta peak < <(measured "$galatea" --quiet decode --payload payload --base meta --out out)
    rate_row "galatea decode, Meta's files as base" "$meta" "$peak"
    ratio "of the time with the converted base" "$meta" "$ours"
  fi
  rm -rf payload hf out

  say "base, 13B shapes, 2 shards in, 3 out, 4 layers"
  rm -rf meta
  "$generate" meta 13B "$tokenizer" --layers 4
  bytes=$(cat meta/*.pth | wc -c)
  before='rm -rf out copy'
  read -r ours peak < <(measured "$galatea" --quiet base meta out --max-shard-size 1100MB)
  rate_row "galatea base (with SHA-256)" "$ours" "$peak"
  read -r copy peak < <(measured cp -r meta copy)
  rate_row "cp" "$copy" "$peak"
  ratio "throughput of base / that of cp (at least 0.6 is asked for)" "$copy" "$ours"
}

memory() {
  local layers=${1:-40} peak seconds
  ROUNDS=1
  say "generating $layers layers of 13B shapes"
  "$generate" meta 13B "$tokenizer" --layers "$layers" --adapter adapter --rank 64
  bytes=$(cat meta/*.pth | wc -c)
  say "peak memory, $((bytes / 1000000)) MB of weights (less than 512 MiB is asked for)"
  # Holes read as zeros, and a payload of zeros gives the base again; the shards' sizes follow from a dry run.
  mkdir payload
  while read -r name size _; do truncate -s "$size" "payload/$name"; done < <(
    "$galatea" --quiet base meta out --dry-run | awk '/\.bin /')
  if "$galatea" --quiet decode --payload payload --base meta --out out --dry-run >/dev/null 2>&1; then
    read -r seconds peak < <(measured "$galatea" --quiet decode --payload payload --base meta --out out)
    rate_row "decode, Meta's files as base" "$seconds" "$peak"
    rm -rf out
  fi
  read -r seconds peak < <(measured "$galatea" --quiet base meta hf)
  rate_row "base" "$seconds" "$peak"
  rm -rf meta
  read -r seconds peak < <(measured "$galatea" --quiet decode --payload payload --base hf --out out)
  rate_row "decode" "$seconds" "$peak"
  rm -rf out payload
  read -r seconds peak < <(measured "$galatea" --quiet merge-lora hf adapter --out out)
  rate_row "merge-lora, rank 64 on every layer and embedding" "$seconds" "$peak"
  rm -rf out
  read -r seconds peak < <(measured "$galatea" --quiet convert hf out --to safetensors)
  rate_row "convert to safetensors" "$seconds" "$peak"
  rm -rf out*
  read -r seconds peak < <(measured "$galatea" --quiet convert hf out.gguf --to gguf)
  rate_row "convert to GGUF" "$seconds" "$peak"
}

merge() {
  local layers=${1:-6} seconds peak copy kind
  say "generating $layers layers of 13B shapes, an adapter of rank 64 on every linear layer and the embedding"
  "$generate" meta 13B "$tokenizer" --layers "$layers" --adapter adapter --rank 64
  "$galatea" --quiet base meta hf >/dev/null
  rm -rf meta
  bytes=$(cat hf/pytorch_model*.bin | wc -c)
  before='rm -rf out copy'
  [ -z "${COLD:-}" ] || before+='; sync; echo 3 >/proc/sys/vm/drop_caches'
  read -r copy peak < <(measured sh -c 'cp -r hf copy && sync copy/*')  # merge-lora waits for the disk, too
  rate_row "cp, sync" "$copy" "$peak"
  rm -rf copy
  for kind in peft exact; do
    read -r seconds peak < <(measured "$galatea" --quiet merge-lora hf adapter --out out --arithmetic "$kind")
    rate_row "galatea merge-lora --arithmetic $kind (with SHA-256)" "$seconds" "$peak"
    ratio "throughput of merge-lora / that of cp (of peft at least 0.5 is asked for)" "$copy" "$seconds"
  done
  before='rm -rf found'
  ROUNDS=1
  read -r seconds peak < <(measured "$galatea" --quiet extract-lora hf out --rank 64 --out found)
  rate_row "galatea extract-lora --rank 64" "$seconds" "$peak"
}

"$what" ${3:+"$3"}
