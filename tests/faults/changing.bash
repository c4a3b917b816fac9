#!/usr/bin/env bash
# An input that is cut off, or written over, while a command reads it: after its n-th read the file is another one.
# Either the result is that of the file as it was, or as it is, when its weights had not been looked at yet; or the
# command says which file changed, with the right exit code and no output. Never a signal, never half this and half that.
#
#   changing.bash PROGRAM FAULT_LAYER DATA_FOLDER SCRATCH_FOLDER
#
# n grows by a third from one to the next; with GALATEA_LONG=1 by one.
set -uo pipefail
GALATEA=$1 layer=$2 data=$3 scratch=$4
rm -rf "$scratch"
mkdir -p "$scratch/work"
cd "$scratch/work"
ln -s "$data" data
mini=data/miniature
export OMP_NUM_THREADS=2 LC_ALL=C
"$GALATEA" --quiet convert $mini/base-hf safe --to safetensors >/dev/null || exit 1
"$GALATEA" --quiet convert $mini/base-hf in.gguf --to gguf >/dev/null || exit 1

sums() { (cd "$1" && find . -type f ! -path '*/.*' ! -name '*galatea.json' -print0 | sort -z | xargs -0r sha256sum); }
bad=0 all=0
fail() {
  bad=$((bad + 1))
  echo "$name, read $n, $how: $*"
  tail -n 6 out.log | cut -c1-300
}
# changing NAME INPUT VICTIM COMMAND...: INPUT is copied to `in`, VICTIM is the file in it that changes.
changing() {
  local name=$1 input=$2 victim=$3 how n code caught=0 runs=0
  shift 3
  local size
  size=$(stat -Lc %s "$input/$victim" 2>/dev/null || stat -Lc %s "$input")
  rm -rf in plain && cp -rL "$input" in && mkdir plain
  [ -d in ] || { mv in only && mkdir in && mv only "in/$victim"; }
  "$GALATEA" --quiet "${@//OUT/plain}" >/dev/null 2>out.log || { echo "$name: the plain run failed"; cat out.log; exit 1; }
  sums plain >plain.sums
  for how in "truncate -s $((size / 3))" "dd if=/dev/urandom bs=1000 count=$((size / 2000)) seek=$((size / 4000)) conv=notrunc status=none of="; do
    n=1
    while :; do
      rm -rf in out again struck.log
      cp -rL "$input" in
      [ -d in ] || { mv in only && mkdir in && mv only "in/$victim"; }
      mkdir out
      code=0
      local hook="$how in/$victim"
      GALATEA_FAULT=read:$n:hook GALATEA_FAULT_HOOK="${hook/of= /of=}" GALATEA_FAULT_LOG=$PWD/struck.log LD_PRELOAD=$layer \
        timeout 120 "$GALATEA" --quiet "${@//OUT/out}" >/dev/null 2>out.log || code=$?
      [ -e struck.log ] || break
      runs=$((runs + 1))
      sums out >out.sums
      case $code in
        0)
          if ! cmp -s plain.sums out.sums; then
            mkdir again
            "$GALATEA" --quiet "${@//OUT/again}" >/dev/null 2>again.log
            sums again | cmp -s out.sums - || fail "success with bytes of neither file"
          fi
          ;;
        3 | 4)
          caught=$((caught + 1))
          grep -q '^galatea: ' out.log && grep -q "in/$victim\|tensor: " out.log || fail "exit code $code without a place"
          [ -z "$(grep -vxFf plain.sums out.sums)" ] || fail "a file that is not whole: $(cat out.sums)"
          ;;
        *) fail "exit code $code" ;;
      esac
      [ $bad -lt 10 ] || exit 1
      [ "${GALATEA_LONG:-0}" = 0 ] && n=$((n + n / 3 + 1)) || n=$((n + 1))
    done
  done
  echo "$name: changed $runs times, noticed $caught times"
  [ $caught -gt 3 ] || { echo "noticed too seldom to mean anything"; bad=1; }
  all=$((all + runs))
}

shard=pytorch_model-00002-of-00003.bin
changing 'decode, base' $mini/base-hf $shard decode $mini/payload --base in --out OUT/m
changing 'decode, payload' $mini/payload $(ls $mini/payload | grep bin | head -n 1) decode in --base $mini/base-hf --out OUT/m
changing base $mini/meta consolidated.00.pth base in OUT/m
changing 'convert safetensors' safe model.safetensors convert in OUT/m --to bin
changing merge-lora $mini/base-hf $shard merge-lora in $mini/adapter --out OUT/m
changing 'merge-lora, adapter' $mini/adapter adapter_model.bin merge-lora $mini/base-hf in --out OUT/m
changing quantize in.gguf in.gguf quantize in/in.gguf OUT/m.gguf --type Q8_0
changing split in.gguf in.gguf split in/in.gguf OUT/m --max-size 2MB
echo "$all changes"
[ $bad = 0 ]
