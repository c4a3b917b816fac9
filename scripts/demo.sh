#!/usr/bin/env bash
# From nothing to scored weights: sets up, builds, and reconstructs the miniature release of
# tests/data/miniature, step by step, with a closing table.
#
#   scripts/demo.sh [OUT_FOLDER]     default: build/demo; what is there and still right is not done again
. "$(dirname "$0")/lib.sh"
out=${1:-$root/build/demo}
miniature=$root/tests/data/miniature

"$root/scripts/setup.sh"
say "building"
build galatea_program
say "reconstructing the miniature release into $out"
"$root/build/release/galatea" reconstruct --base "$miniature/meta" --payload "$miniature/payload" \
  --profile 4.28 --max-shard-size 1500KB --release "$miniature/release.json" \
  --adapter "$miniature/adapter" \
  --types F16,Q8_0,Q6_K,Q5_K_M,Q4_K_M,IQ4_XS,Q4_0,Q3_K_M,Q2_K --corpora "$miniature/corpora" --out "$out"
