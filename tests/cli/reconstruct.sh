# The whole road on the miniature release: killed at any moment it goes on; digests and scores decide the exit code.
mini=data/miniature
road() {
  galatea --quiet reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 --max-shard-size 1500KB \
    --release $mini/release.json --adapter $mini/adapter --types Q8_0,q4_0 "$@"
}
show() { sed -E 's/ +SHA256 [0-9a-f.]+$//'; }

for moment in 0.005 0.01 0.02 0.03 0.05 0.08 0.12; do
  (timeout --foreground -s KILL $moment "$GALATEA" --quiet reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 \
    --max-shard-size 1500KB --release $mini/release.json --types Q8_0 --out out || true) >/dev/null 2>&1
done
road --out out | show
(cd out/model && sha256sum --quiet -c ../../$mini/SHA256SUMS)
diff -r -x galatea.json out/base $mini/base-hf && echo "base is byte for byte the converter's"
(cd out/merged && grep '\.bin$' ../../$mini/SHA256SUMS | sha256sum --quiet -c)
find out -name '*.partial'

# Again: nothing is done twice. A file that went missing is made again, to the same bytes.
before=$(stat -c %Y.%i out/miniature-Q8_0.gguf out/model/*.bin)
sum=$(sha256sum <out/miniature-Q4_0.gguf)
rm out/miniature-Q4_0.gguf
road --out out >/dev/null
[ "$before" = "$(stat -c %Y.%i out/miniature-Q8_0.gguf out/model/*.bin)" ] || echo "done twice"
[ "$sum" = "$(sha256sum <out/miniature-Q4_0.gguf)" ] || echo "other bytes"

# A score that is not the published one fails: here the corpus is cut.
mkdir corpora
head -n 40 $mini/corpora/wiki.test.raw >corpora/wiki.test.raw
try road --out out --corpora corpora | grep -cE 'wikitext2 +published 19.929306 .* FAILED|-> exit 1'
road --out out --corpora corpora --json | json /passed /types/1/type || true

# Without an adapter Meta's files are brought into the right form on the fly, and no converted base is left.
try galatea --quiet reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 --max-shard-size 1500KB \
  --release $mini/release.json --out direct >/dev/null
(cd direct/model && sha256sum --quiet -c ../../$mini/SHA256SUMS) && ls direct
try galatea --quiet reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 --max-shard-size 1500KB \
  --release $mini/release.json --out direct --keep-base >/dev/null
ls direct

# A file that is left out is the base's own, and is not compared.
try galatea --quiet reconstruct --base $mini/meta --payload $mini/payload --profile 4.28 --max-shard-size 1500KB \
  --release $mini/release.json --out part --leave-out config.json | show | grep -E 'config.json|PASSED|exit'
cmp part/model/config.json $mini/base-hf/config.json && echo "config.json is the base's"

# Wrong profile, wrong usage, corpora that are none.
try galatea --quiet reconstruct --base $mini/meta --payload $mini/payload --profile pygmalion-2byte \
  --max-shard-size 1500KB --release $mini/release.json --out other >/dev/null
ls other/model 2>/dev/null
try road --out out --types Q9_9 >/dev/null
try road --out out --corpora $mini/golden >/dev/null
