# Runs kept, compared, gone on with; KL bases; corpora as they come; reports for machines.
model=data/miniature/base-hf corpora=data/miniature/corpora
galatea tokenize $model --data ptb-new --corpus-file $corpora/ptb.test.txt --out all.i32 --quiet >tokens
head -c $((4 * 256 * 4)) all.i32 >ids.i32
score() { galatea perplexity $model --ids ids.i32 --ctx 256 --precision f32 --quiet "$@"; }

# A run that is saved is what later ones are compared with.
score --save before.json >before
try score --save before.json
try score --expect before.json --junit same.xml | sed -n '/^expected/,$p'
grep -c '<testcase' same.xml
galatea quantize $model bad.gguf --type Q2_K --fallback --quiet >written
try galatea perplexity bad.gguf --ids ids.i32 --ctx 256 --precision f32 --quiet --expect before.json --junit bad.xml |
  sed 's/ [-+0-9.e]* / ... /g' | tail -n 2
grep -o 'failures="[0-9]*"' bad.xml
sed 's/"stream_sha256": "./&x/' before.json >foreign.json
try score --expect foreign.json

# Of itself a model has no divergence; of a damaged one it has.
score --write-kl-base base.klb --kl-top 64 | grep '^KL base'
score --kl-base base.klb --json >same.json
json /kl_divergence/count /kl_divergence/same_top/value <same.json
galatea perplexity bad.gguf --ids ids.i32 --ctx 256 --precision f32 --quiet --kl-base base.klb |
  sed -n '/^KL mean/,$p' | sed 's/[0-9.]\+/N/g'
try score --kl-base ids.i32
try galatea perplexity $model --ids ids.i32 --ctx 128 --quiet --kl-base base.klb
try score --write-kl-base base.kld --kl-format llama.cpp
score --protocol llama.cpp --write-kl-base base.kld --kl-format llama.cpp | grep '^KL base'
score --protocol llama.cpp --kl-base base.kld --json | json /kl_divergence/same_top/value

# A folder of corpora against what a release says of each; nothing is left of the journals.
sed 's/"scores"/"merged_scores"/; s/"base_scores"/"scores"/' data/miniature/release.json >release.json
try galatea perplexity $model --corpora $corpora --expect-release release.json --precision f32 --quiet --save all.json |
  sed -n '/^corpus/,$p'
json /runs/0/data /runs/0/passed /passed <all.json
ls -A | grep -c journal
try galatea perplexity $model --corpora data/gguf --expect-release release.json

# Other packings of the same text, taken for what they are.
gzip -nk <$corpora/wiki.test.raw >wiki.gz
galatea tokenize $model --data wikitext2 --corpus-file wiki.gz --json | json /stream_sha256 >a
galatea tokenize $model --data wikitext2 --corpus-file $corpora/wiki.test.raw --json | json /stream_sha256 | diff a -
galatea tokenize $model --data wiki.gz --json | json /data
try galatea tokenize $model --data absent.txt
printf 'PAR1....' >x.parquet
try galatea tokenize $model --data x.parquet
galatea perplexity $model --data wikitext2 --corpus-file $corpora/wiki.test.raw --protocol lm-eval --ctx 128 --precision f32 --quiet |
  grep -e ^perp -e ^bits -e ^prot

# A page about several runs, from what they left; one run may write it too.
galatea perplexity --runs before.json all.json --html page.html
grep -o '<td>[a-z0-9-]*</td>' page.html | sort | uniq -c | sed 's/ \+/ /g'
score --html one.html >one
grep -c '<svg' one.html
