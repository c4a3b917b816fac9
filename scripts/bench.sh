#!/usr/bin/env bash
# Builds the benches in build/bench and runs them; numbers depend on the machine and on what else it does.
#
#   scripts/bench.sh [BENCHMARK_OPTION...]     e.g. --benchmark_filter=Q4_0 --benchmark_min_time=0.1
#
# Needs Google Benchmark: scripts/setup.sh --dev. GALATEA_ISA=scalar|avx2|avx512|avx512_bf16|amx chooses what "encode/..."
# runs on; the other benches name their instruction set and run on each that the processor has.
. "$(dirname "$0")/lib.sh"

folder=$root/build/bench
say "building"
(cd "$root" && cmake --preset release -B "$folder" -DGALATEA_BENCHES=ON >&2)
cmake --build "$folder" --parallel "$(nproc)" --target benches >&2
for bench in encode_bench matmul_bench; do
  say "$bench"
  OMP_WAIT_POLICY=passive "$folder/tests/$bench" "$@"
done
