#!/usr/bin/env bash
# Blocks of every type, encoded and decoded by ggml's own code and by ours, bit for bit.
#
#   scripts/compare_ggml.sh LIBRARY [BLOCKS]   LIBRARY: a shared library with ggml's quantize_* and dequantize_row_*,
#                                              built without contraction (-ffp-contract=off) and fast-math, with the
#                                              grids of its i-quants initialised when it is loaded
#
# BLOCKS (default 20000) of each kind of values go through each encoder with and without importance, by every path
# that the processor has; blocks of 32 ten times as many; decoders get as many blocks of random bytes.
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: scripts/compare_ggml.sh LIBRARY [BLOCKS]"
library=$(realpath "$1")
blocks=${2:-20000}
say "building"
build quantize_tests format_tests
tests=$root/build/release/tests
export GALATEA_GGML_LIBRARY=$library
say "encoders of blocks of 256, and those with importance"
GALATEA_GGML_BLOCKS=$blocks "$tests/quantize_tests" --gtest_filter='LaneEncode.GgmlLibrary*' --gtest_brief=1
say "encoders of blocks of 32"
GALATEA_GGML_BLOCKS=$((10 * blocks)) "$tests/quantize_tests" --gtest_filter='BlockEncode.GgmlLibrary*' --gtest_brief=1
say "decoders"
GALATEA_GGML_BLOCKS=$((10 * blocks)) "$tests/format_tests" --gtest_filter='BlockDecode.GgmlLibrary*' --gtest_brief=1
