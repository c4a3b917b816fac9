# SIGTERM, or Ctrl-C, stops the work: ended by that signal, and no file that looks whole but is not.
model=data/miniature/base-hf
"$GALATEA" perplexity $model --data wikitext2 --corpus-file data/miniature/corpora/wiki.test.raw --ctx 256 \
  >out 2>log &
pid=$!
for _ in $(seq 300); do
  grep -q '^perplexity: ' log && break
  sleep 0.1
done
kill -TERM $pid
try wait $pid
wc -c <out
grep -c '^galatea: ' log
