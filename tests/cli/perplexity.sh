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
galatea perplexity --help | grep -e --precision

try galatea perplexity $model --ids ids.i32 --ctx 256 --threads 1 --precision f32 --expect 10 >result
sed 's/[0-9.]* +.*/.../' result
try score --ctx 256 --expect-release metharme-13b --data ptb-new --json >result
sed '$d' result | json /passed /expected_from /expected
tail -n 1 result

try score --expect-release metharme-13b
try score --expect-release metharme-13b --data ptb
try score --ctx 1025
try galatea perplexity data/miniature/corpora --data ptb --corpus-file data/miniature/corpora/ptb.valid.txt
