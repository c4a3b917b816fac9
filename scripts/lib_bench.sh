# What the benches share; sourced after lib.sh, not run.

[ -x /usr/bin/time ] || die "needs GNU time: scripts/setup.sh --dev"

# work_in FOLDER: makes a folder there for what is generated, goes into it, and removes it at the end.
work_in() {
  work=$(mktemp -d "$1/galatea-bench.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
}

# measured COMMAND...: its seconds and its peak memory in MiB, best time of $ROUNDS (default $rounds); $before runs before
# each, and $accepted is an exit code that is no failure. Without $may_fail a failure is shown.
rounds=3
measured() {
  local round best= line code
  for ((round = 0; round < ${ROUNDS:-$rounds}; ++round)); do
    eval "${before:-}"
    code=0
    /usr/bin/time -q -o time -f '%e %M' "$@" >/dev/null 2>log || code=$?
    if [ "$code" != 0 ] && [ "$code" != "${accepted:-0}" ]; then
      [ -n "${may_fail:-}" ] || { cat log >&2; printf 'failed: %s\n' "$*" >&2; }
      return 1
    fi
    line=$(tail -n 1 time)
    if [ -z "$best" ] || awk "BEGIN {exit !(${line% *} < ${best% *})}"; then best=$line; fi
  done
  awk '{printf "%.2f %.0f\n", $1, $2 / 1024}' <<<"$best"
}

# rate_row NAME SECONDS MIB: with $bytes, what was worked on. ratio NAME A B.
rate_row() { printf '%-52s %8s s %8s MB/s %6s MiB\n' "$1" "$2" "$(awk "BEGIN {printf \"%.0f\", $bytes / 1e6 / ($2 + 1e-9)}")" "$3"; }
ratio() { printf '  %-70s %s\n' "$1" "$(awk "BEGIN {printf \"%.2f\", ($2) / ($3 + 1e-9)}")"; }

# peer_name PROGRAM: the folder that it was built in.
peer_name() { printf '%s' "${1%/build/*}" | sed 's|.*/||'; }
