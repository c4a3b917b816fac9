# The same bytes and the same numbers with any number of threads, and on every kind of processor that this one can play.
mini=data/miniature

# What a run leaves and prints, as one digest; records hold times of files.
run() {
  rm -rf out && mkdir out
  "$GALATEA" --quiet "$@" 2>>errors | sed -E 's/[0-9.]+ (s|MB\/s|GB\/s|tokens\/s)\b//g; s/"(seconds|tokens_per_second|threads)":[^,}]*//g' >out/printed
  [ "${PIPESTATUS[0]}" = 0 ] || { cat errors; return 1; }
  (cd out && find . -type f ! -name '*galatea.json' -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-32
}

# same NAME COMMAND...: writes into out/m.
same() {
  local name=$1 reference threads isa runs=0 found
  shift
  reference=$(run --threads 2 "$@") || { echo "$name: $reference"; return; }
  for threads in 1 3 7 16; do
    found=$(run --threads $threads "$@")
    [ "$found" = "$reference" ] && runs=$((runs + 1)) || echo "$name: other bytes with $threads threads"
  done
  [ $runs = 4 ] && echo "$name: the same with 1, 2, 3, 7 and 16 threads"
  for isa in scalar avx2 avx512 avx512_bf16; do
    found=$(GALATEA_ISA=$isa run --threads 2 "$@")
    if [ "$found" != "$reference" ] && ! tail -n 3 errors | grep -q 'does not have'; then
      echo "$name: other bytes with GALATEA_ISA=$isa"
      runs=0
    fi
  done
  [ $runs = 4 ] && echo "$name: the same on every path"
}

same decode decode $mini/payload --base $mini/base-hf --out out/m
galatea --quiet decode $mini/payload --base $mini/base-hf --out model >/dev/null
same encode encode model --base $mini/base-hf --out out/m
same base base $mini/meta out/m
same merge-lora merge-lora $mini/base-hf $mini/adapter --out out/m
same 'merge-lora --arithmetic exact' merge-lora $mini/base-hf $mini/adapter --out out/m --arithmetic exact
same 'convert to safetensors' convert $mini/base-hf out/m --to safetensors
same 'convert to GGUF' convert $mini/base-hf out/m.gguf --to gguf --dtype bf16
galatea --quiet convert $mini/base-hf base.gguf --to gguf >/dev/null
same 'convert from GGUF' convert base.gguf out/m --to bin
for type in Q8_0 Q4_0 Q5_1 Q3_K_M Q4_K_M Q6_K IQ4_XS IQ3_S TQ2_0; do
  same "quantize $type" quantize base.gguf out/m.gguf --type $type --fallback
done
same 'quantize --search better' quantize base.gguf out/m.gguf --type Q4_K_S --search better
same split split base.gguf out/m --max-size 2MB
same tokenize tokenize $mini/meta --data text --corpus-file $mini/corpora/ptb.test.txt --out out/ids.i32
same 'perplexity --precision f32' perplexity $mini/base-hf --data text --corpus-file $mini/corpora/ptb.test.txt --ctx 64 \
  --windows 0:4 --precision f32
