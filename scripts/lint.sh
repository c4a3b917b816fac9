#!/usr/bin/env bash
# clang-format, cppcheck and clang-tidy over every source file of ours; silent and 0 when all are content.
#
#   scripts/lint.sh [FILE...]     default: all
#
# GCC's -fanalyzer is left out: in GCC 12 it does not know C++'s exceptions and standard library, and finds nothing but
# errors of its own.
. "$(dirname "$0")/lib.sh"
cd "$root"

if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.cpp' '*.h')
fi
bad=0
clang-format --dry-run --Werror "${files[@]}" || bad=1

mapfile -t checked < <(printf '%s\n' "${files[@]}" | grep '\.cpp$' | grep -v '^tests/consumer/')
if [ ${#checked[@]} -gt 0 ]; then
  cppcheck --enable=warning,performance,portability --suppressions-list=scripts/cppcheck_suppressions.txt --library=googletest \
    --std=c++20 --language=c++ --error-exitcode=1 --quiet -j "$(nproc)" -I. "${checked[@]}" || bad=1
fi

# Clang's own compile commands: GCC's hold options that Clang does not know.
cmake --preset clang -DGALATEA_BENCHES=ON >/dev/null
printf '%s\n' "${checked[@]}" |
  xargs -P "$(nproc)" -n 1 clang-tidy --quiet --warnings-as-errors='*' -p build/clang \
    2> >(grep -v 'warnings\? generated' >&2) || bad=1
exit $bad
