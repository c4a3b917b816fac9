#!/usr/bin/env bash
# Fuzzes the readers and encoders: libFuzzer with the address and undefined-behaviour sanitizers, one target a processor.
#
#   scripts/fuzz.sh [SECONDS_OF_EACH [TARGET...]]      default: 1200 seconds, every target
#
# Each target starts from the seeds and from what earlier runs found (build/fuzz/corpus/TARGET), stops at the first
# finding and leaves the input in build/fuzz/findings. A table of executions, of this run and of all runs that went to
# their end (build/fuzz/executions), goes to stdout; the exit code is 1 when something was found. Such an input, made
# small, becomes a numbered file of tests/attacks.
# RUNS=N: so many executions at most; the time is then only a limit. VALUE_PROFILE=0: without libFuzzer's value profile,
# twice as many executions. Reports show one frame of where memory was taken, a fifth faster; fuzz_replay --file in the
# preset asan shows all of them.
. "$(dirname "$0")/lib.sh"
cd "$root"
seconds=${1:-1200}
[ $# -gt 0 ] && shift
command -v clang++ >/dev/null || die "needs clang++: scripts/setup.sh --dev"
say "building"
[ -f build/fuzz/CMakeCache.txt ] || cmake --preset fuzz >&2
cmake --build --preset fuzz --parallel "$(nproc)" >&2
fuzz=$root/build/fuzz/tests/fuzz
work=$root/build/fuzz
mkdir -p "$work/logs" "$work/findings" "$work/executions"

# The seeds of a target, as its FUZZ_TARGET line names them, in a folder of their own: libFuzzer wants small files.
seeds_of() {
  local names name folder=$work/seeds/$1
  rm -rf "$folder"
  mkdir -p "$folder"
  names=$(tr '\n' ' ' < <(cat tests/fuzz/*_fuzz.cpp) | grep -o "FUZZ_TARGET($1,[^)]*)" | grep -o '"[^"]*"' | tr -d '"')
  for name in $names fuzz/seeds/$1; do
    [ -e "tests/$name" ] || continue
    find "tests/$name" -type f -size -256k | while read -r file; do cp "$file" "$folder/$(tr / _ <<<"$file")"; done
  done
}

run_target() {
  local target=$1 log=$work/logs/$1.log code=0 began=$SECONDS
  touch "$work/executions/$target"
  seeds_of "$target"
  mkdir -p "$work/corpus/$target"
  GALATEA_FUZZ_TARGET=$target OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=1:malloc_context_size=1 UBSAN_OPTIONS=print_stacktrace=1 \
    "$fuzz" -max_total_time="$seconds" ${RUNS:+-runs="$RUNS"} -timeout=10 -rss_limit_mb=2048 -max_len=262144 \
    -use_value_profile="${VALUE_PROFILE:-1}" -print_final_stats=1 -artifact_prefix="$work/findings/$target-" \
    "$work/corpus/$target" "$work/seeds/$target" >"$log" 2>&1 || code=$?
  local executions rate
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  [ "$code" = 0 ] && echo "${executions:-0} $((SECONDS - began))" >>"$work/executions/$target"
  printf '%-20s %12s executions %8s a second, %12s in %6s s of all runs   %s\n' "$target" "${executions:-?}" "${rate:-?}" \
    $(awk '{n += $1; s += $2} END {printf "%d %d", n, s}' "$work/executions/$target") \
    "$([ "$code" = 0 ] && echo "nothing found" || echo "FOUND: see $log")"
  return "$code"
}
export -f run_target seeds_of
export seconds work fuzz
[ $# -gt 0 ] || mapfile -t targets < <(grep -ho 'FUZZ_TARGET([a-z0-9_]*' tests/fuzz/*_fuzz.cpp | cut -d'(' -f2 | sort)
[ $# -gt 0 ] && targets=("$@")
say "${#targets[@]} targets, $seconds seconds each"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_target {}' || exit 1
