#!/usr/bin/env bash
# One command on a machine that fails: for each kind of call and failure, and each n, the n-th call fails. Whatever
# happens, the exit code is that of a clean error, nothing that looks finished is not, and the same command, run again
# on a machine that works, ends with the same bytes. Faults that a program must bear (interrupted calls, short counts)
# change nothing at all.
#
#   run.bash PROGRAM FAULT_LAYER DATA_FOLDER SCRATCH_FOLDER COMMAND
#
# n grows by a third from one to the next; with GALATEA_LONG=1 by one, until the fault no longer happens (allocations:
# by 5 %). COMMAND is a name of the table below.
set -uo pipefail
GALATEA=$1 layer=$2 data=$3 scratch=$4 command=$5
rm -rf "$scratch"
mkdir -p "$scratch/work"
cd "$scratch/work"
ln -s "$data" data
mini=data/miniature
export OMP_NUM_THREADS=2 GALATEA_MARK_BYTES=65536 LC_ALL=C

inputs() {
  case $command in
    encode) "$GALATEA" --quiet decode $mini/payload --base $mini/base-hf --out model ;;
    split) "$GALATEA" --quiet convert $mini/base-hf in.gguf --to gguf ;;
    merge)
      "$GALATEA" --quiet convert $mini/base-hf in.gguf --to gguf
      "$GALATEA" --quiet split in.gguf parts/in --max-size 2MB
      ;;
    quantize | imatrix) "$GALATEA" --quiet convert $mini/base-hf in.gguf --to gguf ;;
    convert-from-gguf) "$GALATEA" --quiet quantize $mini/base-hf in.gguf --type Q8_0 ;;
    extract-lora) "$GALATEA" --quiet merge-lora $mini/base-hf $mini/adapter --out merged ;;
  esac >/dev/null
}

# The command line; OUT stands for where it writes.
case $command in
  decode) line=(decode $mini/payload --base $mini/base-hf --out OUT/m) ;;
  encode) line=(encode model --base $mini/base-hf --out OUT/m) ;;
  base) line=(base $mini/meta OUT/m --profile 4.28 --max-shard-size 1500KB) ;;
  convert) line=(convert $mini/base-hf OUT/m --to safetensors) ;;
  convert-to-gguf) line=(convert $mini/base-hf OUT/m.gguf --to gguf) ;;
  convert-from-gguf) line=(convert in.gguf OUT/m --to bin) ;;
  merge-lora) line=(merge-lora $mini/base-hf $mini/adapter --out OUT/m) ;;
  extract-lora) line=(extract-lora $mini/base-hf merged --rank 4 --out OUT/m) ;;
  quantize) line=(quantize in.gguf OUT/m.gguf --type Q4_K_M) ;;
  split) line=(split in.gguf OUT/m --max-size 2MB) ;;
  merge) line=(merge parts/in-00001-of-00003.gguf OUT/m.gguf) ;;
  reconstruct) line=(reconstruct --release $mini/release.json --payload $mini/payload --base $mini/base-hf --out OUT/m) ;;
  tokenize) line=(tokenize $mini/meta --data text --corpus-file $mini/corpora/ptb.test.txt --out OUT/ids.i32) ;;
  verify) line=(verify $mini/base-hf --structure) ;;
  inspect) line=(inspect $mini/base-hf) ;;
  diff) line=(diff $mini/base-hf $mini/base-hf) ;;
  perplexity) line=(perplexity $mini/base-hf --data text --corpus-file $mini/corpora/ptb.test.txt --ctx 32 --windows 0:2 --json) ;;
  *) echo "unknown command $command"; exit 1 ;;
esac
inputs || exit 1

faults=${GALATEA_FAULTS:-"open:EACCES open:ENOMEM read:EIO read:EINTR read:short write:ENOSPC write:EIO write:EINTR write:short sync:EIO
  rename:EIO truncate:ENOSPC unlink:EIO mkdir:ENOSPC map:ENOMEM new:ENOMEM malloc:ENOMEM"}

sums() { (cd "$1" && find . -type f ! -path '*/.*' ! -name '*galatea.json' -print0 | sort -z | xargs -0r sha256sum); }
# What a command prints differs in times and rates alone, and in the name of its folder.
told() { sed -E 's/out|plain/OUT/g; s/[0-9.]+ (s|ms|MB\/s|GB\/s|tokens\/s)\b/N \1/g; s/"(seconds|tokens_per_second)":[^,}]*//g' "$1"; }

mkdir plain
"$GALATEA" "${line[@]//OUT/plain}" >plain.txt 2>plain.log || { echo "the plain run failed:"; cat plain.log; exit 1; }
sums plain >plain.sums
told plain.txt >plain.told

bad=0 runs=0 struck=0
fail() {
  bad=$((bad + 1))
  echo "$command, $call:$n:$failure: $*"
  tail -n 6 out.log | cut -c1-300
}
one() {
  rm -rf out struck.log
  mkdir out
  runs=$((runs + 1))
  local code=0
  GALATEA_FAULT=$call:$n:$failure GALATEA_FAULT_LOG=$PWD/struck.log LD_PRELOAD=$layer \
    timeout 120 "$GALATEA" "${line[@]//OUT/out}" >out.txt 2>out.log || code=$?
  [ -e struck.log ] || return 1
  struck=$((struck + 1))
  case $code in
    0) ;;
    3 | 4)
      grep -q '^galatea: ' out.log || fail "exit code $code without a message"
      [[ $failure = EINTR || $failure = short ]] && fail "exit code $code for what must be borne"
      ;;
    *) fail "exit code $code" ;;
  esac
  sums out >out.sums
  if [ $code = 0 ]; then
    cmp -s plain.sums out.sums || fail "success with other files"
    told out.txt | cmp -s plain.told - || fail "success with another result"
  elif [ -n "$(grep -vxFf plain.sums out.sums)" ]; then
    fail "a file that is not whole: $(grep -vxFf plain.sums out.sums)"
  fi
  [ -s plain.sums ] || return 0
  code=0
  "$GALATEA" "${line[@]//OUT/out}" >again.txt 2>again.log || code=$?
  [ $code = 0 ] || { [ $code = 2 ] && grep -q 'exists already' again.log; } || { fail "run again: exit code $code"; cat again.log; }
  sums out >out.sums
  cmp -s plain.sums out.sums || fail "run again: other files"
  local left
  # The steps of reconstruct are kept, so that running it again does nothing twice.
  left=$(find out -name '.*' ! -name . ! -name .galatea-journal.json)
  [ -z "$left" ] || fail "run again: left behind: $left"
}

for fault in $faults; do
  call=${fault%:*} failure=${fault#*:}
  n=1
  while one; do
    [ $bad -lt 20 ] || break 2
    if [ "${GALATEA_LONG:-0}" = 0 ]; then
      n=$((n + n / 3 + 1))
      case $call in new | malloc) n=$((n * 2)) ;; esac
    else
      case $call in new | malloc) n=$((n + n / 20 + 1)) ;; *) n=$((n + 1)) ;; esac
    fi
  done
done
echo "$command: $struck faults in $runs runs"
[ $struck -gt 20 ] || { echo "too few faults happened"; bad=1; }
[ $bad = 0 ]
