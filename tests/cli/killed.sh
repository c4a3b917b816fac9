# SIGKILL at random moments of every command that writes weights: the same command, run again, goes on where it was
# and ends with the same bytes and the same result as one undisturbed run.
#
# GALATEA_KILLS=N: so many moments for each command (default: 50 for decode, 10 for the others);
# GALATEA_KILL_SEED=N repeats a run that failed. Marks every few kilobytes make midway resumes of small files.
mini=data/miniature
export GALATEA_MARK_BYTES=16384 OMP_NUM_THREADS=2
seed=${GALATEA_KILL_SEED:-$(date +%N | sed 's/^0*//')}
RANDOM=$((seed % 32768))
echo "seed $seed" >&2
make_ggufs() { galatea --quiet quantize $mini/base-hf f16.gguf --type F16 >/dev/null; }

# What a command left, its hidden files too; paths of the scratch folders differ between runs.
listing() { (cd "$1" && find . -type f ! -name 'galatea.json' ! -name '*.galatea.json' ! -name '.galatea-journal.json' -print0 |
  sort -z | xargs -0 sha256sum); }

# kills NAME TIMES COMMAND...: in the command, OUT stands for the output folder.
kills() {
  local name=$1 times=$2 midway=0 killed=0 runs=0
  times=${GALATEA_KILLS:-$times}
  shift 2
  mkdir -p "$name.plain" "$name.out"
  local start=$EPOCHREALTIME
  "$GALATEA" "${@//OUT/$name.plain}" >"$name.plain.txt" 2>/dev/null
  local length=$(( (${EPOCHREALTIME/./} - ${start/./}) / 1000 + 1 ))
  listing "$name.plain" >"$name.plain.sums"
  while [ $killed -lt "$times" ] || { [ "$midway" = 0 ] && [ $killed -lt $((5 * times)) ]; }; do
    local moment=$((RANDOM % length + 1))
    local code
    code=$(
      "$GALATEA" "${@//OUT/$name.out}" >"$name.txt" 2>>"$name.log" &
      sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
      kill -KILL $! 2>/dev/null
      wait $! 2>/dev/null
      echo $?
    )
    runs=$((runs + 1))
    midway=$(grep -c '^resuming .* checking' "$name.log")
    if [ $code = 137 ]; then
      killed=$((killed + 1))
      # Nothing that looks finished is not.
      (cd "$name.out" && find . -type f ! -path '*/.*' ! -name '*galatea.json' -print0 | sort -z | xargs -0r sha256sum) |
        while read -r sum file; do grep -q "^$sum  $file\$" "$name.plain.sums" || echo "$name: $file is not whole"; done
    elif [ $code = 0 ]; then
      end_of_round "$name" "$@"
    else
      # The last moment of all: everything was done and the journal gone.
      tail -n 4 "$name.log" | grep -q 'exists already' && [ -z "$(find "$name.out" -name '.*journal')" ] ||
        { echo "$name: exit code $code"; tail -n 5 "$name.log"; return 1; }
      end_of_round "$name" "$@"
    fi
  done
  local code=0
  "$GALATEA" "${@//OUT/$name.out}" >"$name.txt" 2>>"$name.log" || code=$?
  [ $code = 0 ] || tail -n 4 "$name.log" | grep -q 'exists already' || { echo "$name: exit code $code at the end"; tail -n 5 "$name.log"; }
  end_of_round "$name" "$@"
  echo "$name: $killed kills in $runs runs, $midway times resumed in the middle of a file" >&2
  [ "$midway" -gt 0 ] || echo "$name: never resumed in the middle of a file"
  if grep -q 'damaged' "$name.log"; then echo "$name: a partial file was taken for damaged"; fi
  echo "$name: the same bytes"
}

# A round that came to its end: compare, and start the next one from nothing.
end_of_round() {
  local name=$1
  listing "$name.out" | diff "$name.plain.sums" - || echo "$name: other bytes"
  if [ -s "$name.txt" ]; then
    diff <(sed "s/$name\.plain/OUT/g" "$name.plain.txt") <(sed "s/$name\.out/OUT/g" "$name.txt") >/dev/null ||
      { echo "$name: another result"; diff "$name.plain.txt" "$name.txt"; }
  fi
  rm -rf "$name.out"
  mkdir "$name.out"
  : >"$name.txt"
}

make_ggufs
kills decode 50 decode $mini/payload --base $mini/base-hf --out OUT/m
kills encode 10 encode $mini/base-hf --base $mini/payload --out OUT/m
kills base 10 base $mini/meta OUT/m --profile 4.28 --max-shard-size 1500KB
kills convert 10 convert $mini/base-hf OUT/m.gguf --to gguf --dtype F16
kills merge-lora 10 merge-lora $mini/base-hf $mini/adapter --out OUT/m --to safetensors
kills quantize 10 quantize f16.gguf OUT/m.gguf --type Q4_0
kills reconstruct 10 reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 --max-shard-size 1500KB \
  --release $mini/release.json --types Q8_0 --out OUT
