# Files of llama.cpp of spring 2023: told, brought to GGUF with the blocks that they have, scored, quantized again.
old=data/ggml
galatea inspect $old/ggjt2-q4_0.bin | grep -E '^data|  ggml\.|file_type'
# Blocks as today, and those whose float32 scales float16 holds.
for name in ggjt3-q8_0 ggjt2-q4_0 ggjt1-q5_1; do
  galatea --quiet convert $old/$name.bin $name.gguf --to gguf >/dev/null
  galatea diff $old/$name.bin $name.gguf | tail -n 1
  galatea inspect $name.gguf | grep -E '^  ggml\.|^  Q| bits for each'
done
# Scales that would have to be rounded; in two parts.
try galatea convert $old/ggmf-q4_1.bin m.gguf --to gguf
galatea convert $old/ggmf-q4_1.bin m.gguf --to gguf --round-scales --quiet >/dev/null
galatea --quiet convert $old/ggmf-q4_1.bin.1 wide.gguf --to gguf --dtype F32 >/dev/null
galatea diff $old/ggmf-q4_1.bin wide.gguf | tail -n 1
# A type that GGUF never had.
galatea --quiet convert $old/ggjt1-q4_3.bin q4_3.gguf --to gguf >/dev/null
galatea diff $old/ggjt1-q4_3.bin q4_3.gguf | tail -n 1
# What was quantized before is quantized again on demand only.
try galatea --quiet quantize $old/ggjt2-q8_0.bin q.gguf --type Q4_0 --pure
galatea --quiet quantize $old/ggjt2-q8_0.bin q.gguf --type Q8_0 --pure --allow-requantize | tail -n 1
galatea --quiet convert $old/ggml-q4_0.bin hf --to safetensors >/dev/null
ls hf
# The model means nothing, but both say the same of it.
galatea --quiet convert $old/ggjt1-f16.bin hf16 --to safetensors >/dev/null
for model in $old/ggjt1-f16.bin hf16; do
  galatea --quiet perplexity "$model" --data text --corpus-file data/miniature/README.md --ctx 128 --windows :2 |
    grep '^perplexity' >"score of ${model##*/}"
done
cmp score* && grep -c perplexity score*
rm score*
ls -A
