mini=data/miniature golden=data/verify
# The list is the same whatever the container, and what torch says.
galatea --quiet verify $mini/base-hf --tensors | cmp - $golden/miniature.tensors
galatea --quiet convert $mini/base-hf st --to safetensors >/dev/null
galatea --quiet convert $mini/base-hf f16.gguf --to gguf >/dev/null
galatea --quiet verify st --tensors | cmp - $golden/miniature.tensors
galatea --quiet verify st/model.safetensors --tensors --json | json /weights /tensors/20/name /tensors/20/sha256
galatea --quiet verify $mini/meta --tensors >meta.tensors
try galatea --quiet verify st --tensors-of meta.tensors
try galatea --quiet verify f16.gguf --tensors-of $mini/meta
galatea --quiet verify f16.gguf --tensors-of $golden/miniature.tensors --json | json /passed /counts/same /counts/differs

# A bit in each container: found, and named. The last byte but some of a file lies in a tensor.
flip() { printf '\x5a' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
at() { galatea inspect "$1" --json | tr -d ' \n' | grep -o "\"name\":\"$2\",\"offset\":[0-9]*" | grep -o '[0-9]*$'; }
cp -r $mini/base-hf hf; chmod -R u+w hf
flip hf/pytorch_model-00003-of-00003.bin $(($(at hf model.layers.1.mlp.gate_proj.weight) + 11))
flip st/model.safetensors $(($(at st model.layers.1.mlp.gate_proj.weight) + 11))
flip f16.gguf $(($(at f16.gguf blk.1.ffn_gate.weight) + 11))
for path in hf st f16.gguf; do
  try galatea --quiet verify $path --tensors-of meta.tensors >report
  grep -A 2 '^  differs' report | cut -c 1-60
  tail -n 2 report
done

# Digests of files: the algorithm follows from the length.
printf abc >abc
try galatea --quiet verify abc --digest 900150983CD24FB0D6963F7D28E17F72
try galatea --quiet verify abc --digest sha1:a9993e364706816aba3e25717850c26c9cd0d89d
try galatea --quiet verify abc --digest "$(sha512sum abc | cut -d ' ' -f 1)"
try galatea --quiet verify abc --digest "$(sha256sum $mini/meta/params.json | cut -d ' ' -f 1)"
galatea --quiet verify abc --digest 900150983cd24fb0d6963f7d28e17f72 --json | json /passed /files/0/md5 /hashing/limit
try galatea verify abc --digest abcdef
try galatea verify $mini/meta --digest 900150983CD24FB0D6963F7D28E17F72
try galatea verify abc --tensors --release llama-7b

# Git LFS pointers as a list, and in place of the files.
mkdir pointers have
for file in $mini/meta/*.pth; do
  printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' \
    "$(sha256sum <"$file" | cut -d ' ' -f 1)" "$(stat -L -c %s "$file")" >"pointers/${file##*/}"
  cp "$file" have
done
try galatea --quiet verify have --manifest pointers
try galatea --quiet verify have/consolidated.00.pth --manifest pointers/consolidated.00.pth
galatea --quiet verify have --manifest pointers/consolidated.01.pth --json | json /passed /files/0/size
try galatea --quiet verify pointers --manifest pointers
try galatea --quiet verify pointers
try galatea --quiet inspect pointers/consolidated.00.pth
