# One part in a thousand worse: Q5_K_M of the miniature beside its F16, on Wikitext2. The error bars of the two runs hide it
# 28 times over; window by window it is certain. And what machines and people read of it is well-formed, whatever the names.
corpus=data/miniature/corpora/wiki.test.raw
galatea --quiet convert data/miniature/base-hf f16.gguf --to gguf --dtype F16 >written
score() { galatea --quiet perplexity "$@" --data wikitext2 --corpus-file $corpus --ctx 128 --precision f32; }
score f16.gguf --save f16.json | grep '^perplexity'
for type in Q8_0 Q5_K_M; do
  galatea --quiet quantize f16.gguf $type.gguf --type $type --fallback >written
  try score $type.gguf --expect f16.json --save $type.json | sed -n '/^expected/,$p'
done

command -v python3 >/dev/null || skip "needs python3 for the rest"
well_formed() { python3 "$(readlink -f data)/../support/well_formed.py" "$@"; }
hostile=$'a<b>&amp;"\x27 ]]>\x01--\xc2\x85.gguf'
mv Q5_K_M.gguf "$hostile"
try score "$hostile" --expect f16.json --junit fail.xml --html page.html --runs f16.json Q8_0.json >written
score f16.gguf --expect f16.json --junit pass.xml >written
well_formed xml fail.xml
well_formed xml pass.xml
well_formed html page.html
# The parsers would notice.
head -c 400 page.html >cut.html
sed 's/<failure/<failure </' fail.xml >bad.xml
try well_formed html cut.html
try well_formed xml bad.xml
sed 's|</td>|</tr>|' page.html >crossed.html
try well_formed html crossed.html
