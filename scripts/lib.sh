# What the scripts share; sourced, not run. Sets `root` to the repository.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# missing_packages NAME...: those of the Debian packages that are not installed, one a line.
missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
  done
}

# build [TARGET...]: configures the release preset once and builds; without a target, everything.
build() {
  local folder=$root/build/release target
  [ -f "$folder/CMakeCache.txt" ] || (cd "$root" && cmake --preset release >&2)
  local arguments=()
  for target in "$@"; do arguments+=(--target "$target"); done
  cmake --build "$folder" --parallel "$(nproc)" "${arguments[@]}" >&2
}
