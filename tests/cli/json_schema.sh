# What --json gives is valid against the schemas of tests/cli/schema, for every command, for errors, and for the records.
python3 -c 'import jsonschema' 2>/dev/null || skip "Python's jsonschema is lacking (package python3-jsonschema)"
mini=data/miniature
schemas=$(realpath data/..)/cli/schema

# valid SCHEMA COMMAND...: its exit code, and what of its JSON is not as the schema says.
valid() {
  local schema=$1 code=0
  shift
  galatea --quiet --json "$@" >result.json 2>/dev/null || code=$?
  python3 - "$schemas/$schema.json" result.json <<'PYTHON' && echo "$schema: valid, exit $code"
import json, sys
import jsonschema
schema, document = (json.load(open(name)) for name in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
for error in jsonschema.Draft7Validator(schema).iter_errors(document):
    sys.exit("%s: %s: %s" % (schema["title"], "/".join(map(str, error.path)), error.message[:200]))
PYTHON
}

valid decode decode $mini/payload --base $mini/base-hf --out model
valid encode encode model --base $mini/base-hf --out payload
valid base base $mini/meta hf --profile 4.28
valid convert convert model safe --to safetensors
valid merge-lora merge-lora $mini/base-hf $mini/adapter --out merged
valid extract-lora extract-lora $mini/base-hf merged --rank 4 --out adapter
valid quantize quantize model q.gguf --type Q4_K_M
valid quantize quantize model q.gguf --type Q4_K_M --overwrite --dry-run
valid split split q.gguf parts/q --max-size 400KB
valid merge merge parts/q-00001-of-00004.gguf whole.gguf
valid verify verify model --manifest $mini/SHA256SUMS
valid verify verify $mini/meta --release $mini/release.json --part meta
valid verify verify model
valid verify-structure verify model --structure
valid verify-tensors verify model --tensors
valid verify-tensors-of verify q.gguf --tensors-of model
valid verify-chain verify q.gguf --chain
valid inspect inspect q.gguf
valid inspect inspect $mini/meta
valid diff diff model q.gguf
valid perplexity perplexity q.gguf --data wikitext2 --corpus-file $mini/corpora/wiki.test.raw --ctx 64 --windows 0:2 --expect 1 --tolerance 0.1
valid tokenize tokenize model --data text --corpus-file $mini/corpora/ptb.test.txt --out ids.i32
valid reconstruct reconstruct --release $mini/release.json --payload $mini/payload --base $mini/base-hf --out whole
for wrong in "verify nowhere" "decode" "quantize model q.gguf --type Q9" "perplexity $mini/meta --data none"; do
  valid error $wrong
done
for record in model/galatea.json q.gguf.galatea.json merged/galatea.json parts/q.galatea.json; do
  cp $record record.json
  galatea() { cat record.json; }
  valid record
  galatea() { "$GALATEA" "$@"; }
done
