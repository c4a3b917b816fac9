# The folder of the converter of 2023, to the byte; what would be written is what is written.
galatea base data/miniature/meta out --profile 4.28 --max-shard-size 1500KB --dry-run >planned
[ ! -e out ] || echo "--dry-run wrote something"
galatea --quiet base data/miniature/meta out --profile 4.28 --max-shard-size 1500KB >written
for file in data/miniature/base-hf/*; do
  cmp "$file" "out/${file##*/}"
  grep -q "  ${file##*/}  $(stat -Lc %s "$file") bytes" planned || echo "${file##*/} has another size than planned"
done
(cd out && sha256sum --quiet --check ../written)
json /command /options/profile <out/galatea.json
galatea --json --quiet base data/miniature/meta other --dry-run | json /profile /transformers_version /files/0
ls -A
# Errors leave nothing.
try galatea base data/miniature/meta out
try galatea base data/miniature/meta other --profile 5.0
try galatea base data/miniature/meta other --max-shard-size much
try galatea base nowhere other
cp -r data/miniature/meta truncated
head -c 100000 data/miniature/meta/consolidated.01.pth >truncated/consolidated.01.pth
try galatea base truncated other
touch file
try galatea base data/miniature/meta file/other
try galatea base truncated truncated
ls -A
