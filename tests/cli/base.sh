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
# Sizes and side files need no weights.
mkdir tables
cp data/miniature/meta/params.json data/miniature/meta/tokenizer.model tables
galatea --quiet base tables sides --dry-run --profile 4.28 --max-shard-size 1500KB | sed '$d' >of_tables
sed '$d' planned | diff - of_tables
galatea --quiet base tables sides --side-files-only --profile 4.28 --max-shard-size 1500KB >/dev/null
ls -A sides
for file in sides/*.json; do [ $file = sides/galatea.json ] || cmp "$file" "out/${file##*/}"; done
# Single properties of a profile.
galatea --json --quiet base tables other --dry-run --transformers 4.29.2 --inv-freq 2 --torch-container 2.7 \
  | json /profile /transformers_version /inv_freq_bytes /torch
try galatea base tables other
try galatea base tables other --torch-container 0.4
rm -r tables sides of_tables
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
