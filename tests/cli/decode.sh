# The miniature release: payload and base give the published files; a base with other weights does not.
mini=data/miniature
show() { sed -E 's/ +SHA256 [0-9a-f.]+$//'; }
galatea --quiet decode --payload $mini/payload --base $mini/base-hf --dry-run | tail -n 1
galatea --quiet decode --payload $mini/payload --base $mini/base-hf --out out --release $mini/release.json \
  --check-base | show
(cd out && sha256sum --quiet -c ../$mini/SHA256SUMS && md5sum --quiet -c ../$mini/MD5SUMS)
galatea --quiet verify out --manifest $mini/MD5SUMS --json | json /passed
json /command <out/galatea.json

# And back.
galatea --quiet encode --finetuned out --base $mini/base-hf --out payload >/dev/null
diff -r -x galatea.json payload $mini/payload
json /command <payload/galatea.json

# The record of how a folder was made is no part of what it holds.
galatea --quiet decode --payload payload --base $mini/base-hf --out again --release $mini/release.json >/dev/null
diff -r -x galatea.json again out && galatea --quiet encode --finetuned again --base out --dry-run | grep -c galatea

# A wrong base: other side files; then other weights of the same layout, which only the digest tells.
try galatea --quiet decode --payload $mini/payload --base out --out wrong
[ ! -e wrong ] || echo "wrong/ is there"
cp -r $mini/base-hf other
cp out/pytorch_model-00003-of-00003.bin other
try galatea --quiet decode --payload $mini/payload --base other --out wrong --release $mini/release.json
ls -A wrong

# Meta's own files, brought on the fly into what the payload was made from; nothing but the base differs.
galatea --quiet decode --payload $mini/payload --base $mini/meta --profile 4.28 --max-shard-size 1500KB \
  --out from_meta --release $mini/release.json --check-base | grep -E 'base|consolidated|PASSED'
diff -r -x galatea.json from_meta out
json /options/base_made_as/kind /options/base_made_as/brought_into/torch <from_meta/galatea.json
galatea --json decode --payload $mini/payload --base $mini/meta --profile 4.28 --inv-freq 4 --torch-container 1.13 \
  --max-shard-size 1500KB --dry-run 2>notes | json /base/kind /base/brought_on_the_fly /bytes /files/0/size
sed 's/, [0-9.]* [kMGT]*B free//' notes
# Another version stamp than the payload's: the small files are repaired, for their digests are known.
galatea --quiet decode --payload $mini/payload --base $mini/meta --transformers 4.31.0 --max-shard-size 1500KB \
  --out repaired --release $mini/release.json --json | json /check/passed /files/3/repaired /files/4/repaired
diff -r -x galatea.json repaired out
try galatea --quiet decode --payload $mini/payload --base $mini/meta --inv-freq 2 --max-shard-size 1500KB --out wrong2
[ ! -e wrong2 ] || echo "wrong2/ is there"

# Base file missing; payload of another model; output folder that cannot be made; output that is there.
mkdir part
cp $mini/base-hf/*.json part
try galatea --quiet decode --payload $mini/payload --base part --out missing
try galatea --quiet decode --payload $mini/adapter --base $mini/base-hf --out missing
[ ! -e missing ] || echo "missing/ is there"
touch file
try galatea --quiet decode --payload $mini/payload --base $mini/base-hf --out file/out
try galatea --quiet decode --payload $mini/payload --base $mini/base-hf --out out
try galatea decode --payload $mini/payload --base $mini/base-hf
