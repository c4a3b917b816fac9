#!/usr/bin/env bash
# Which lines the tests run: a build with gcov's counters, the tests of the rooms and of the command (without those that
# only repeat it many times), and a table.
#
#   scripts/coverage.sh [FILE]     with FILE: the lines of the files that are below 90 %, too
#
# Exit code 1 when format/, verify/ or converter/ is below 90 % of its lines as a whole.
. "$(dirname "$0")/lib.sh"
cd "$root"
command -v gcovr >/dev/null || die "needs gcovr: scripts/setup.sh --dev"
say "building"
[ -f build/coverage/CMakeCache.txt ] || cmake -S . -B build/coverage -DCMAKE_BUILD_TYPE=Debug -DGALATEA_TESTS=ON -DGALATEA_HARDEN=OFF \
  -DCMAKE_CXX_FLAGS="-O1 --coverage -fprofile-update=atomic -fprofile-abs-path" >&2
cmake --build build/coverage --parallel "$(nproc)" >&2
find build/coverage -name '*.gcda' -delete
say "testing"
OMP_WAIT_POLICY=passive ctest --test-dir build/coverage --parallel "$(nproc)" --output-on-failure \
  -L 'format|verify|converter|eval|quantize|cli' -E 'killed|same_bytes|regression|perplexity_runs' >&2 || say "some tests failed; the lines that ran are counted"
say "counting"
report() { gcovr --root . --object-directory build/coverage --gcov-ignore-parse-errors --exclude-unreachable-branches \
  --exclude-throw-branches -j "$(nproc)" "$@" 2>/dev/null; }
bad=0
printf '%-12s %8s %8s %8s\n' room lines run share
for room in format verify converter eval quantize; do
  read -r total covered < <(report --filter "$room/" --json-summary | python3 -c 'import json, sys
d = json.load(sys.stdin); print(d["line_total"], d["line_covered"])')
  printf '%-12s %8d %8d %7.1f%%\n' "$room" "$total" "$covered" "$(awk "BEGIN {print 100 * $covered / $total}")"
  case $room in format | verify | converter) ((covered * 10 >= total * 9)) || bad=1 ;; esac
done
if [ $# -gt 0 ]; then report --filter format/ --filter verify/ --filter converter/ --sort-uncovered >"$1"; fi
exit $bad
