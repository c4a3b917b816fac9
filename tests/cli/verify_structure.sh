mini=data/miniature
try galatea --quiet verify $mini/base-hf --structure
try galatea --quiet verify $mini/meta --structure
galatea --quiet convert $mini/base-hf st --to safetensors >/dev/null
galatea --quiet quantize $mini/base-hf q4_0.gguf --type Q4_0 >/dev/null
try galatea --quiet verify st --structure
try galatea --quiet verify q4_0.gguf --structure | sed 's/[0-9]* bytes/N bytes/; s/byte:  [0-9]*/byte:  N/'
galatea --quiet verify q4_0.gguf --structure --json | json /sound /tensors /problems

# A changed bit in a zip record; a NaN; a cut file; a missing shard.
cp -r $mini/base-hf hf; chmod -R u+w hf
offset() { galatea inspect "$1" --json | tr -d ' \n' | grep -o "\"name\":\"$2\",\"offset\":[0-9]*" | grep -o '[0-9]*$'; }
at=$(offset hf model.layers.1.mlp.gate_proj.weight)
printf '\xff\xff' | dd of=hf/pytorch_model-00003-of-00003.bin bs=1 seek=$((at + 10)) conv=notrunc status=none
try galatea --quiet verify hf --structure
at=$(offset q4_0.gguf blk.0.attn_k.weight)
printf '\x00\x7c' | dd of=q4_0.gguf bs=1 seek=$((at + 36)) conv=notrunc status=none
try galatea --quiet verify q4_0.gguf --structure | sed 's/[0-9]* bytes/N bytes/; s/byte:  [0-9]*/byte:  N/'
truncate -s -1000 st/model.safetensors
try galatea --quiet verify st --structure
rm hf/pytorch_model-00002-of-00003.bin
galatea --quiet verify hf --structure --json >report || echo "-> exit $?"
json /sound /problems/0/problem /problems/0/file /problems/1/tensor <report

# Without an option: what the files are, and whether they are sound.
try galatea --quiet verify st | grep -v ' galatea.json$'
try galatea verify absent --structure
printf 'no weights' >weights.dat
try galatea verify weights.dat --structure
