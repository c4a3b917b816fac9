# A score, and scores that are not what they should be.
model=data/miniature/base-hf
galatea tokenize $model --data ptb-new --corpus-file data/miniature/corpora/ptb.test.txt --out all.i32 >tokens
head -c $((4 * 256 * 4)) all.i32 >ids.i32
score() { galatea perplexity $model --ids ids.i32 --quiet "$@"; }

# 49.5013 is what transformers computes for these four windows.
try score --ctx 256 --json --expect 49.5013 --tolerance 1e-5 >result
sed '$d' result | json /protocol /tokens /windows /scored_tokens /stream_sha256 /expected /passed
tail -n 1 result
try score --ctx 256 --precision fast --expect 49.5013 --tolerance 1e-3 | grep -c PASS
galatea perplexity --help | grep -e --precision -e --times
score --ctx 256 --times --json >timed.json
grep -c '"tokens_per_second"' timed.json
score --ctx 256 --times | grep '^time' | sed 's/ [0-9][0-9.:]*/ N/g'
try score --ctx 256 --max-memory 1M

try galatea perplexity $model --ids ids.i32 --ctx 256 --threads 1 --precision f32 --expect 10 >result
sed 's/[0-9.]* +.*/.../' result
try score --ctx 256 --expect-release metharme-13b --data ptb-new --json >result
sed '$d' result | json /passed /expected_from /expected
tail -n 1 result

# In parts, combined; by another protocol.
score --ctx 256 --json >whole.json
for part in 2:4 :1 1:2; do score --ctx 256 --windows $part --json >part-$part.json; done
galatea perplexity --combine part-*.json --json >combined.json
for key in /perplexity /standard_error /scored_tokens; do json $key <whole.json; done >a
for key in /perplexity /standard_error /scored_tokens; do json $key <combined.json; done | diff a -
try galatea perplexity --combine part-:1.json part-2:4.json
try score --ctx 256 --windows 3:9
try score --ctx 256 --windows 3
try score --ctx 256 --protocol llama.cpp --precision f32
try score --ctx 256 --protocol other
try score --ctx 256 --protocol llama.cpp --data wikitext2 --expect-release metharme-13b

try score --expect-release metharme-13b
try score --expect-release metharme-13b --data ptb
try score --ctx 1025
try galatea perplexity data/miniature/corpora --data ptb --corpus-file data/miniature/corpora/ptb.valid.txt
