#!/usr/bin/env bash
# Installs what galatea is built from: Debian packages, and only those that are missing.
#
#   scripts/setup.sh [--dev]     --dev: also Clang, what lint.sh, coverage.sh and the benches need
#
# As root it calls apt-get, as a user `sudo apt-get`; without sudo it names what is missing and fails.
. "$(dirname "$0")/lib.sh"

packages=(g++ make cmake libssl-dev zlib1g-dev libdeflate-dev libzstd-dev nlohmann-json3-dev libcli11-dev
          libsentencepiece-dev libpcre2-dev libgtest-dev binutils python3-jsonschema)
case ${1-} in
  '') ;;
  --dev) packages+=(clang clang-format cppcheck clang-tidy gcovr libomp-dev libbenchmark-dev time) ;;
  *) die "usage: scripts/setup.sh [--dev]" ;;
esac

if ! command -v dpkg-query >/dev/null; then
  say "no Debian packages here; CMake will name what it misses"
  exit 0
fi
mapfile -t missing < <(missing_packages "${packages[@]}")
if [ ${#missing[@]} -eq 0 ]; then
  say "every package is there"
  exit 0
fi

say "installing ${missing[*]}"
as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "These packages are missing, and there is no sudo to install them with:
  apt-get install ${missing[*]}"
  as_root=(sudo "${as_root[@]}")
fi
"${as_root[@]}" apt-get -q update >&2
"${as_root[@]}" apt-get -q install -y --no-install-recommends "${missing[@]}" >&2
