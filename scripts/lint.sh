#!/usr/bin/env bash
# clang-format and clang-tidy over every source file of ours; silent and 0 when both are content.
#
#   scripts/lint.sh [FILE...]     default: all
. "$(dirname "$0")/lib.sh"
cd "$root"

if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files '*.cpp' '*.h')
fi
bad=0
clang-format --dry-run --Werror "${files[@]}" || bad=1

# Clang's own compile commands: GCC's hold options that Clang does not know.
cmake --preset clang -DGALATEA_BENCHES=ON >/dev/null
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep '\.cpp$' | grep -v '^tests/consumer/')
printf '%s\n' "${sources[@]}" |
  xargs -P "$(nproc)" -n 1 clang-tidy --quiet --warnings-as-errors='*' -p build/clang \
    2> >(grep -v 'warnings\? generated' >&2) || bad=1
exit $bad
