# The same weights as a folder and as GGUF; a file that is none.
mini=data/miniature
galatea inspect $mini/base-hf | sed -n '1,3p;$p'
galatea inspect $mini/base-hf --json | json /kind /config/layers /parameters /tensors/0/name /tensors/0/dtype /tensors/0/shape/0 /tensors/0/offset
galatea inspect $mini/adapter/adapter_model.bin --json | json /kind /tensors/0/dtype
galatea --quiet convert $mini/base-hf base.gguf --to gguf >/dev/null
galatea inspect base.gguf --json | json /kind /gguf_version /metadata/general.architecture /config/hidden_size
galatea inspect base.gguf | grep -E 'general.architecture|^token_embd'
try galatea inspect $mini/SHA256SUMS
try galatea inspect absent

echo "-- tables of any GGUF, types, a picture"
galatea --quiet quantize base.gguf q.gguf --type Q4_K_M >/dev/null
galatea --quiet inspect q.gguf | tail -n 4
galatea --quiet inspect q.gguf --json --svg bits.svg | json /types/1/type /types/1/bits_per_weight /alignment /svg
grep -c '<title>blk' bits.svg
try galatea --quiet inspect q.gguf --svg bits.svg
galatea inspect data/gguf/types.gguf --json | json /problem /tensors/1/shape/2 /types/0/type
galatea --quiet inspect data/gguf/types.gguf | grep -E '^(f16|q8_0) '
