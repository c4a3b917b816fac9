# Base and adapter give the published weights, and the command says by which arithmetic.
galatea --quiet merge-lora data/miniature/base-hf data/miniature/adapter --out merged --max-shard-size 1500KB >report
grep -v tokenizer_config.json data/miniature/SHA256SUMS >sums
(cd merged && sha256sum --check ../sums)
grep -c 'float32, rounded once' report
galatea --json --quiet merge-lora data/miniature/base-hf data/miniature/adapter:0.5 --out other --dry-run |
  json /tensors/0 /dtype
ls -A
# What the adapter holds and the base does not, or nobody understands, is an error that lists it.
try galatea merge-lora data/miniature/base-hf data/miniature/base-hf --out other
try galatea merge-lora data/miniature/base-hf data/miniature/adapter:nan --out other
mkdir strange
cp data/miniature/adapter/adapter_model.bin strange
sed 's/"r": 8/"r": 8, "use_something": true/' data/miniature/adapter/adapter_config.json >strange/adapter_config.json
try galatea merge-lora data/miniature/base-hf strange --out other
galatea --quiet merge-lora data/miniature/base-hf strange --out allowed --allow-unused --report --max-shard-size 1500KB |
  grep -v '^[0-9a-f]'
cmp allowed/pytorch_model-00001-of-00003.bin merged/pytorch_model-00001-of-00003.bin
for kind in peft-safe exact; do
  galatea --quiet --json merge-lora data/miniature/base-hf data/miniature/adapter --out $kind --arithmetic $kind --load-as F16 |
    json /arithmetic /tensors/0/underflowed
done
try galatea merge-lora data/miniature/base-hf data/miniature/adapter --out other --arithmetic round
mkdir cut
cp data/miniature/adapter/adapter_config.json cut
head -c 200000 data/miniature/adapter/adapter_model.bin >cut/adapter_model.bin
try galatea merge-lora data/miniature/base-hf cut --out other
sed 's/"r": 8/"r": 8, "use_dora": true/' data/miniature/adapter/adapter_config.json >strange/adapter_config.json
try galatea merge-lora data/miniature/base-hf strange --out other
ls -A
# A quantized base; the result as GGUF; its own tokens and layers stay.
galatea --quiet convert data/miniature/base-hf base.gguf --to gguf >report
galatea --quiet quantize base.gguf base-q8.gguf --type Q8_0 >report
galatea --quiet merge-lora base-q8.gguf data/miniature/adapter:0.5 data/miniature/adapter:-0.5 --out q8.gguf --to gguf >report
galatea --json --quiet merge-lora base-q8.gguf data/miniature/adapter --out q8.gguf --to gguf --overwrite --pad-to 64 |
  json /dtype /tensors/0/applied/0/scaling /tensors/0/complete
try galatea merge-lora base-q8.gguf data/miniature/adapter --out other.gguf --to gguf --vocab shrink
# More rows than a GGUF's tokenizer has tokens: its metadata are made anew.
galatea --quiet merge-lora base-q8.gguf data/miniature/adapter --out padded.gguf --to gguf --pad-to 100 | grep -o 'padded to [0-9]* rows'
galatea --quiet convert padded.gguf padded --to safetensors >report
grep vocab_size padded/config.json
galatea --quiet merge-lora base-q8.gguf data/miniature/adapter --out plain --pad-to 100 --to safetensors >report
galatea --quiet diff plain padded.gguf | tail -n 1
