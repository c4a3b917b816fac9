# A disk that is too small is told before the work; a file that may not grow so large, and a place where nothing can be
# written, by their true cause. What was done stays, and the same command goes on.
mini=data/miniature
try galatea --quiet convert $mini/base-hf /proc/model.gguf --to gguf

# The second file is larger than the limit, the first is not.
(ulimit -f 1200; try galatea --quiet base $mini/meta limited --profile 4.28 --max-shard-size 1500KB)
find limited -type f | sort
galatea base $mini/meta limited --profile 4.28 --max-shard-size 1500KB 2>log >/dev/null
grep -c '^going on with an earlier run: 1 of 10 files are finished$' log
diff -r -x galatea.json limited $mini/base-hf && echo "the base, to the byte"
find limited -name '.*'

# One run at a time in one place.
mkdir twice
(flock -n 9 && try galatea --quiet base $mini/meta twice --profile 4.28 --max-shard-size 1500KB) 9<>twice/.galatea.journal
galatea --quiet base $mini/meta twice --profile 4.28 --max-shard-size 1500KB >/dev/null
diff -r -x galatea.json twice $mini/base-hf && echo "the base, to the byte"

# Ctrl-C: ended by the signal, with how to go on; a changed option starts anew.
GALATEA_MARK_BYTES=1024 "$GALATEA" base $mini/meta stopped --profile 4.28 --max-shard-size 1500KB >/dev/null 2>log &
pid=$!
for _ in $(seq 300); do [ -e stopped/.pytorch_model-00001-of-00003.bin.partial ] && break; sleep 0.01; done
kill -TERM $pid
try wait $pid
grep -E '^galatea: interrupted|^  remedy: ' log | sed 's/[0-9]* %/N %/'
galatea base $mini/meta stopped --profile 4.28 --max-shard-size 1400KB 2>log >/dev/null
grep -c '^an unfinished run with other options or inputs is discarded: stopped/.galatea.journal$' log
ls -A stopped | grep '^\.' || echo "nothing is left of it"
