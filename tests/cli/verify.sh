mini=data/miniature
galatea --quiet verify $mini/meta --manifest $mini/meta/checklist.chk
cp -r $mini/base-hf base
galatea --quiet verify base --release $mini/release.json --part base | tail -n 1
galatea --quiet verify base/config.json --release $mini/release.json --part base | tail -n 1

# A changed, a lost and an added file.
sed -i 's/$/\r/' base/config.json
rm base/tokenizer.json
touch base/more
try galatea --quiet verify base --release $mini/release.json --part base
galatea --quiet verify base --release $mini/release.json --part base --json | json /passed /files/0/status

# A tokenizer of zeros is known.
head -c 499723 /dev/zero >tokenizer.model
try galatea --quiet verify tokenizer.model

try galatea verify base --release no-such-release
try galatea verify absent
