# From a quantized file back to the payload and the base: every link is checked that is still on the disk.
mini=data/miniature
cp -r $mini/payload $mini/base-hf .
galatea --quiet decode payload --base base-hf --out model >/dev/null
galatea --quiet quantize model model.gguf --type Q4_0 >/dev/null
galatea --quiet verify model.gguf --chain | sed 's/[0-9a-f]\{64\}/SHA/'
galatea --quiet --json verify model.gguf --chain | json /passed /links/0/command /links/1/command /matches

# One bit of the base, long ago used: found, and named.
printf '\001' | dd of=base-hf/pytorch_model-00002-of-00003.bin bs=1 seek=700000 conv=notrunc 2>/dev/null
(try galatea --quiet verify model.gguf --chain) | grep -E 'DIFFERS|links|exit' | sed -E 's/[0-9a-f]{64}/SHA/g'
rm -r base-hf
try galatea --quiet verify model.gguf --chain | tail -n 2
(try galatea --quiet verify model --chain --manifest x)
(try galatea --quiet verify payload --chain)
