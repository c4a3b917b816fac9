mini=data/miniature
galatea --quiet decode --payload $mini/payload --base $mini/base-hf --out merged >/dev/null
galatea --quiet convert $mini/base-hf f16.gguf --to gguf >/dev/null
galatea --quiet quantize $mini/base-hf q8_0.gguf --type Q8_0 >/dev/null

# One model in three containers.
try galatea --quiet diff $mini/base-hf $mini/meta
try galatea --quiet diff f16.gguf $mini/meta
galatea --quiet diff $mini/meta $mini/base-hf --json | json /same /counts/same "/counts/only in B"

# Another model: the numbers are numpy's (data/verify/diff.json).
try galatea --quiet diff $mini/base-hf merged --top 3
galatea --quiet diff $mini/base-hf merged --threads 1 --json >one
galatea --quiet diff $mini/base-hf merged --threads 3 --json | cmp - one
json /same /tensors/1/name /tensors/1/differing /tensors/1/max_abs <one
try galatea --quiet diff $mini/base-hf merged --top 0 --tolerance 1
try galatea --quiet diff $mini/base-hf q8_0.gguf --top 2 --tolerance 0.01 --relative
try galatea --quiet diff $mini/base-hf q8_0.gguf --top 2 --tolerance 0.001 --relative

# One bit of one tensor.
cp f16.gguf changed.gguf
offset=$(galatea inspect f16.gguf --json | tr -d ' \n' | grep -o '"name":"blk.1.ffn_gate.weight","offset":[0-9]*')
printf '\x5a' | dd of=changed.gguf bs=1 seek=$((${offset##*:} + 2 * (3 * 256 + 5))) conv=notrunc status=none
try galatea --quiet diff f16.gguf changed.gguf

# What cannot be compared.
head -c 100000 f16.gguf >cut.gguf
try galatea diff f16.gguf cut.gguf
try galatea diff f16.gguf absent
try galatea diff f16.gguf f16.gguf --tolerance -1
