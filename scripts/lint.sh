#!/usr/bin/env bash
# clang-format, cppcheck and clang-tidy over every source file of ours; silent and 0 when all are content.
#
#   scripts/lint.sh [FILE...]     default: all
#
# What clang-tidy found clean is remembered in build/lint by what the compiler sees of it, and not looked at again.
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
  seen=$(seen_by_compiler "$1")
  if [ -n "$seen" ] && [ -e "build/lint/$seen" ]; then return 0; fi
  clang-tidy --quiet --warnings-as-errors='*' -p build/clang "$1" 2> >(grep -v 'warnings\? generated' >&2) || return 1
  if [ -n "$seen" ]; then touch "build/lint/$seen"; fi
}
export -f tidy seen_by_compiler
printf '%s\n' "${checked[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy {}' || bad=1
exit $bad
