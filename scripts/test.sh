#!/usr/bin/env bash
# Sets up, builds and runs every test.
#
#   scripts/test.sh [CTEST_OPTION...]     e.g. -R format/ for one room, -L cli for the command
#
# Tests that need the corpora of the published scores look for them in $GALATEA_DATA or in ../shared/data
# beside this folder, and are skipped by name where they are absent.
. "$(dirname "$0")/lib.sh"

"$root/scripts/setup.sh"
say "building"
build
say "testing"
cd "$root/build/release"
ctest --output-on-failure --parallel "$(nproc)" "$@"
