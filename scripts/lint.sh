#!/usr/bin/env bash
# clang-format, cppcheck and clang-tidy over every source file of ours; silent and 0 when all are content.
#
#   scripts/lint.sh [--minutes N] [FILE...]     default: all
#
# --minutes N: clang-tidy looks at as many as it can begin within N minutes, those that changed last first, and says how many
# are left: for machines that have little time.
# What clang-tidy found clean is remembered in build/lint by what the compiler sees of it, and not looked at again.
# GCC's -fanalyzer is left out: in GCC 12 it does not know C++'s exceptions and standard library, and finds nothing but
# errors of its own.
. "$(dirname "$0")/lib.sh"
cd "$root"

deadline=
if [ "${1-}" = --minutes ]; then
  deadline=$(($(date +%s) + 60 * $2))
  shift 2
fi
export deadline
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <({ git log --format= --name-only -- '*.cpp' '*.h'; git ls-files '*.cpp' '*.h'; } |
    awk '!seen[$0]++' | while read -r file; do if [ -e "$file" ]; then printf '%s\n' "$file"; fi; done)
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
mkdir -p build/lint
# seen_by_compiler FILE: a digest of the file with all it includes, and of the rules.
seen_by_compiler() {
  python3 - "$1" <<'PYTHON'
import hashlib, json, os, pathlib, shlex, subprocess, sys
name = os.path.realpath(sys.argv[1])
for entry in json.load(open("build/clang/compile_commands.json")):
    if os.path.realpath(os.path.join(entry["directory"], entry["file"])) == name:
        command = shlex.split(entry["command"])
        at = command.index("-o")
        command = command[:at] + command[at + 2:] + ["-E", "-P", "-C"]
        seen = hashlib.sha256(subprocess.run(command, cwd=entry["directory"], stdout=subprocess.PIPE, check=True).stdout)
        for folder in [*pathlib.Path(name).parents][::-1]:
            rules = folder / ".clang-tidy"
            if rules.exists():
                seen.update(rules.read_bytes())
        print(seen.hexdigest())
        break
PYTHON
}
tidy() {
  local seen
  if [ -n "$deadline" ] && [ "$(date +%s)" -ge "$deadline" ]; then
    printf '%s\n' "$1" >>build/lint/left
    return 0
  fi
  seen=$(seen_by_compiler "$1")
  if [ -n "$seen" ] && [ -e "build/lint/$seen" ]; then return 0; fi
  clang-tidy --quiet --warnings-as-errors='*' -p build/clang "$1" 2> >(grep -v 'warnings\? generated' >&2) || return 1
  if [ -n "$seen" ]; then touch "build/lint/$seen"; fi
}
export -f tidy seen_by_compiler
rm -f build/lint/left
printf '%s\n' "${checked[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy {}' || bad=1
if [ -e build/lint/left ]; then say "clang-tidy had no time for $(wc -l <build/lint/left) of ${#checked[@]} files"; fi
exit $bad
