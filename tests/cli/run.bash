#!/usr/bin/env bash
# Runs one case of the command line: the command as its users see it.
#
#   run.bash [--rewrite] PROGRAM JSON_VALUE_PROGRAM DATA_FOLDER SCRATCH_FOLDER CASE.sh
#
# A case is three files. CASE.sh is run by bash in an empty scratch folder, in which `data` leads to
# tests/data; prelude.bash tells which functions it has. CASE.out holds the exact standard output, the
# exit code of each `try` included. CASE.err holds extended regular expressions, one a line: each must match
# a line of standard error, and each line of it must be matched. A file that is absent means: nothing.
# The case passes when its own exit code is 0 too; 77 means that it cannot run here and says why.
# --rewrite writes CASE.out anew from what came out, to be read before it is committed.
set -uo pipefail
rewrite=no
if [ "$1" = --rewrite ]; then rewrite=yes; shift; fi
GALATEA=$1 JSON_VALUE=$2 data=$3 scratch=$4 case=$(realpath "$5")
here=$(cd "$(dirname "$0")" && pwd)
export GALATEA JSON_VALUE
name=${case%.sh}

rm -rf "$scratch"
mkdir -p "$scratch/work"
ln -s "$data" "$scratch/work/data"
cd "$scratch/work"
LC_ALL=C TERM=dumb HOME=$scratch BASH_ENV=$here/prelude.bash \
  bash -u "$case" >"$scratch/out" 2>"$scratch/err" </dev/null
code=$?
if [ $code = 77 ]; then cat "$scratch/out"; exit 77; fi

bad=0
if [ $code != 0 ]; then echo "the case itself failed with exit code $code"; bad=1; fi
if [ $rewrite = yes ]; then
  if [ -s "$scratch/out" ]; then cp "$scratch/out" "$name.out"; else rm -f "$name.out"; fi
fi
expected=/dev/null
[ -e "$name.out" ] && expected=$name.out
if ! diff -u --label expected --label found "$expected" "$scratch/out"; then bad=1; fi

# How often progress is told on the way depends on the machine's speed; that it begins and ends does not.
sed -i -E '/ [0-9]+ %  .* ETA /d' "$scratch/err"

patterns=/dev/null
[ -e "$name.err" ] && patterns=$name.err
while IFS= read -r pattern; do
  if ! grep -Eq -e "$pattern" "$scratch/err"; then echo "standard error lacks: $pattern"; bad=1; fi
done <"$patterns"
if grep -Evq -f "$patterns" "$scratch/err"; then
  echo "standard error has what no pattern matches:"
  grep -Ev -f "$patterns" "$scratch/err"
  bad=1
fi
if [ $bad != 0 ]; then echo "--- standard error"; cat "$scratch/err"; fi
exit $bad
