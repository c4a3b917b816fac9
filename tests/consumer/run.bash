#!/usr/bin/env bash
# Installs a build under a prefix, builds the consumer project against it and runs both programs.
#   run.bash BUILD_FOLDER SCRATCH_FOLDER COMPILER COMPILER_FLAGS
set -euo pipefail
build=$1 scratch=$2 compiler=$3 flags=$4
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$scratch"
cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$here" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
      -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags"
cmake --build "$scratch/consumer"
"$scratch/consumer/consumer" | grep -Fx 'BF16 16'
"$scratch/consumer/consumer" | grep -Fx 'Q8_0 8.5'
"$scratch/prefix/bin/galatea" --version | grep -E '^galatea [0-9]+\.[0-9]+\.[0-9]+$'
