#!/usr/bin/env bash
# Sets up, builds and runs every test.
#
#   scripts/test.sh [--long] [CTEST_OPTION...]     e.g. -R format/ for one room, -L cli for the command
#
# --long: every fault at every call and not at every third or so, 2,000 flipped bits of each kind of file, 200 kills of
# each command; hours, while the usual run takes minutes.
# Tests that need the corpora of the published scores look for them in $GALATEA_DATA or in ../shared/data
# beside this folder, and are skipped by name where they are absent.
. "$(dirname "$0")/lib.sh"

if [ "${1-}" = --long ]; then
  shift
  export GALATEA_LONG=1 GALATEA_KILLS=${GALATEA_KILLS:-200}
  set -- --timeout 36000 "$@"
fi
"$root/scripts/setup.sh"
say "building"
build
say "testing"
cd "$root/build/release"
ctest --output-on-failure --parallel "$(nproc)" "$@"
