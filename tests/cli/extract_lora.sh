# The way back: what a merge changed, as an adapter; merged again, the same model.
galatea --quiet merge-lora data/miniature/base-hf data/miniature/adapter --out merged --dtype F32 >report
galatea --quiet extract-lora data/miniature/base-hf merged --rank 8 --out adapter | grep -v '^[0-9a-f]\{64\}' | head -n 4
galatea --quiet merge-lora data/miniature/base-hf adapter --out again --dtype F32 --arithmetic exact >report
try galatea --quiet diff merged again --tolerance 1e-6 | tail -n 2
cat adapter/adapter_config.json
ls adapter
echo
# Twice the same bytes; a smaller rank says what it misses, and without --out that is all.
galatea --quiet extract-lora data/miniature/base-hf merged --rank 8 --out same --threads 1 >report
cmp adapter/adapter_model.safetensors same/adapter_model.safetensors
galatea --quiet --json extract-lora data/miniature/base-hf merged --rank 4 | json /tensors/1/name /tensors/1/rank /tensors/1/kind
galatea --quiet extract-lora data/miniature/base-hf merged --rank 4 | tail -n 1
# The plan; out of other containers too.
galatea --quiet convert merged merged.gguf --to gguf >report
galatea --quiet extract-lora data/miniature/meta merged.gguf --rank 16 --dtype BF16 --dry-run --out other | tail -n 4
ls -A
try galatea --quiet extract-lora data/miniature/base-hf merged --rank 8 --out adapter
try galatea --quiet extract-lora data/miniature/base-hf data/miniature/base-hf --rank 8 --out other
try galatea --quiet extract-lora data/miniature/base-hf merged --rank 0 --out other
try galatea --quiet extract-lora data/miniature/base-hf merged --rank 8 --out merged
try galatea --quiet extract-lora data/miniature/base-hf merged --rank 8 --dtype Q8_0 --out other
ls -A
