# There and back is the same folder; types are changed on demand, and what that costs is told.
galatea --quiet convert data/miniature/base-hf safe --to safetensors >/dev/null
galatea --quiet convert safe bin --to bin --max-shard-size 1500KB >/dev/null
for file in data/miniature/base-hf/*; do cmp "$file" "bin/${file##*/}"; done
galatea --quiet convert safe model.gguf --to gguf --name tiny >/dev/null
galatea --quiet convert model.gguf back --to safetensors --dtype F16 >/dev/null
cmp safe/tokenizer.json back/tokenizer.json
for from in safe back; do
  galatea tokenize $from/tokenizer.model --data text --corpus-file data/miniature/README.md --quiet --out $from.ids >/dev/null
done
cmp safe.ids back.ids && test -s back.ids && rm ./*.ids*
galatea --quiet convert model.gguf other.gguf --to gguf --tokenizer safe/tokenizer.model >/dev/null
cmp model.gguf other.gguf && rm other.gguf*
galatea --json --quiet convert data/miniature/base-hf wide --to safetensors --dtype bf16 | json /overflowed
json /torch_dtype <wide/config.json
json /command /arithmetic <model.gguf.galatea.json
ls -A
try galatea --quiet convert safe model.gguf --to gguf
try galatea convert safe other --to onnx
try galatea convert safe other --to bin --dtype Q8_0
try galatea convert data/miniature/base-hf/pytorch_model-00001-of-00003.bin other --to gguf
mkdir broken
cp safe/*.json safe/tokenizer.model broken
head -c 1000000 safe/model.safetensors >broken/model.safetensors
try galatea convert broken other --to gguf
ls -A
