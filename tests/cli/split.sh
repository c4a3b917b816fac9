# A GGUF in parts and whole again, byte for byte; a part that is missing, damaged or of another model.
galatea --quiet quantize data/miniature/base-hf m.gguf --type Q4_0 --name miniature >/dev/null
galatea --quiet split m.gguf parts/m --max-size 1M --dry-run
galatea --quiet split m.gguf parts/m --max-size 300KB --json >document
json /files/0/name /files/0/size /files/3/name <document
ls -A parts
galatea inspect parts/m-00002-of-00005.gguf --json | json /parameters /metadata/split.count /tensors/20/file
galatea --quiet merge parts/m-00003-of-00005.gguf whole.gguf
cmp m.gguf whole.gguf && echo "the same bytes"
galatea --quiet split m.gguf first/m --no-tensor-first-split --max-tensors 12 >/dev/null
galatea inspect first/m-00001-of-00003.gguf --json | json /tensors/0/file
galatea --quiet convert first/m-00002-of-00003.gguf hf --to safetensors >/dev/null && ls hf

echo "-- refused"
try galatea --quiet split m.gguf parts/m
try galatea --quiet split m.gguf parts/m --max-size 300KB
try galatea --quiet split data/miniature/base-hf parts/n --max-size 1M
try galatea --quiet split parts/m-00001-of-00005.gguf parts/m --max-size 300KB --overwrite
try galatea --quiet merge m.gguf n.gguf
try galatea --quiet merge parts/m-00001-of-00005.gguf parts/m-00002-of-00005.gguf --overwrite
mv parts/m-00002-of-00005.gguf away.gguf
try galatea --quiet merge parts/m-00001-of-00005.gguf n.gguf
cp parts/m-00003-of-00005.gguf parts/m-00002-of-00005.gguf
try galatea --quiet merge parts/m-00001-of-00005.gguf n.gguf
head -c 100000 away.gguf >parts/m-00002-of-00005.gguf
try galatea --quiet merge parts/m-00001-of-00005.gguf n.gguf
ls
