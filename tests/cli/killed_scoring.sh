# SIGKILL at random moments of a run that is saved, and of one that writes a KL base: the same command, run again, goes on
# behind the windows that were finished and ends with the same bits.
#
# GALATEA_KILLS=N: so many for each (default 6); GALATEA_KILL_SEED=N repeats a run that failed.
export OMP_NUM_THREADS=1
seed=${GALATEA_KILL_SEED:-$(date +%N | sed 's/^0*//')}
RANDOM=$((seed % 32768))
echo "seed $seed" >&2
data=$PWD/data
galatea --quiet tokenize "$data/miniature/base-hf" --data wikitext2 --corpus-file "$data/miniature/corpora/wiki.test.raw" \
  --out all.i32 >written
head -c $((4 * 64 * 160)) all.i32 >ids.i32
ids=$PWD/ids.i32

# A batch is as few windows as there can be, so that there are many to be stopped between.
least=$(galatea --quiet perplexity data/miniature/base-hf --ids ids.i32 --ctx 64 --max-memory 1MB 2>&1 |
  sed -n 's/.*at least \([0-9]*M\)$/\1/p')
score() { exec "$GALATEA" perplexity "$data/miniature/base-hf" --ids "$ids" --ctx 64 --max-memory "$least" --save run.json "$@"; }
listing() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0r sha256sum); }

# kills NAME OPTION...
kills() {
  local name=$1 killed=0 resumed=0 rounds=0 code moment
  shift
  mkdir plain
  local start=$EPOCHREALTIME
  (cd plain && score "$@") >"$name.plain" 2>/dev/null
  local length=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000 + 1))
  listing plain >"$name.sums"
  while [ $killed -lt "${GALATEA_KILLS:-6}" ] || { [ $resumed = 0 ] && [ $killed -lt 100 ]; }; do
    rm -rf out
    mkdir out
    rounds=$((rounds + 1))
    for ((code = 137; code == 137; )); do
      moment=$((RANDOM % length + 1))
      code=$(
        (cd out && score "$@") >"$name.out" 2>>"$name.log" &
        sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
        kill -KILL $! 2>/dev/null
        wait $! 2>/dev/null
        echo $?
      )
      [ "$code" != 137 ] || killed=$((killed + 1))
      # The last moment of all: the result was there, and only its journal not yet gone.
      if [ "$code" = 137 ] && [ -e out/run.json ]; then rm -f out/.*.journal && break; fi
    done
    [ "$code" = 0 ] || [ -e out/run.json ] || { echo "$name: exit code $code"; tail -n 5 "$name.log"; return 1; }
    listing out | diff "$name.sums" - || echo "$name: other bytes"
    [ "$code" != 0 ] || diff "$name.plain" "$name.out"
    resumed=$(grep -c 'going on behind' "$name.log")
  done
  rm -rf plain out
  echo "$name: $killed kills in $rounds rounds, $resumed times gone on behind finished windows" >&2
  [ "$resumed" -gt 0 ] || echo "$name: never went on"
  echo "$name: the same bits"
}

kills saved
kills base --write-kl-base base.klb --kl-top 64

# Stopped when the base was whole and the result could not be written: nothing is computed again.
mkdir plain out
(cd plain && score --write-kl-base base.klb --kl-top 64) >written 2>/dev/null
mkdir out/.run.json.partial
(cd out && score --quiet --write-kl-base base.klb --kl-top 64) >written 2>failed && echo "it went well"
rmdir out/.run.json.partial
try eval '(cd out && score --write-kl-base base.klb --kl-top 64) 2>again | grep "^KL base"'
grep 'going on behind' again
listing out | diff <(listing plain) - && echo "the same bits"
