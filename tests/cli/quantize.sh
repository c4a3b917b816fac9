# The miniature quantized; what may go wrong leaves nothing behind.
model=data/miniature/base-hf
galatea quantize $model q.gguf --type Q4_0 --dry-run --quiet --name miniature | tail -n 1
galatea quantize $model q.gguf --type q4_0 --quiet --name miniature
stat -c '%n %s' q.gguf

galatea --threads 1 quantize $model one.gguf --type Q4_0 --quiet --name miniature >/dev/null
GALATEA_ISA=scalar galatea --threads 3 quantize $model three.gguf --type Q4_0 --quiet --name miniature >/dev/null
cmp q.gguf one.gguf && cmp q.gguf three.gguf && echo "the same on any threads and instructions"

galatea quantize $model half.gguf --type F16 --quiet --name miniature --json >document
json /type /bits_per_weight /tensors/0/name /tensors/0/type /tensors/0/share_of_file <document
galatea quantize half.gguf by-half.gguf --type Q4_0 --quiet --json | json /tensors/0/from /tensors/0/rms_error
cmp q.gguf by-half.gguf && echo "the same by way of F16"

echo "-- mixes"
for mix in Q4_K_M Q3_K_L Q2_K; do
  galatea quantize $model $mix.gguf --type $mix --quiet --name miniature
  galatea convert $mix.gguf $mix-hf --to safetensors --quiet >/dev/null && rm -r $mix-hf
  rm $mix.gguf*
done

galatea quantize $model q2.gguf --type Q2_K --quiet --name miniature --json | json /worst/0/name /worst/9/name
rm q2.gguf*

echo "-- importance"
for form in gguf dat; do
  galatea quantize $model by-$form.gguf --type Q4_K_S --imatrix data/imatrix/miniature.imatrix.$form --quiet \
    --name miniature --tensor-type 'attn_[qk]=Q5_K' --tensor-type ffn_up=Q3_K | grep -v by-
  galatea convert by-$form.gguf by-$form --to safetensors --quiet >/dev/null
done
cmp by-gguf/model.safetensors by-dat/model.safetensors && echo "the same by both forms"
rm -r by-gguf* by-dat*

echo "-- a better search for scales"
galatea quantize $model better.gguf --type Q4_K_M --search better --quiet --name miniature | head -n 5
GALATEA_ISA=scalar galatea --threads 3 quantize $model again.gguf --type Q4_K_M --search better --quiet --name miniature \
  --json | json /tensors/0/search_gain
cmp better.gguf again.gguf && echo "the same on any threads and instructions"
galatea inspect better.gguf --json | json /metadata/quantize.search
json /options/search <better.gguf.galatea.json
galatea quantize better.gguf again.gguf --type Q4_0 --search reference --allow-requantize --quiet --overwrite >/dev/null
galatea inspect again.gguf --json | grep -c quantize.search
rm better.gguf* again.gguf*
galatea quantize $model grid.gguf --type IQ3_S --search better --dry-run 2>&1 | grep 'no better search'

echo "-- what it would cost, and a ceiling"
galatea quantize $model new.gguf --type Q4_K_M --dry-run --quiet |
  sed -nE 's/^about [0-9:.]+( s)? and at most [0-9.]+ MB of memory$/time and memory/p'
galatea quantize $model new.gguf --type Q4_K_M --dry-run --quiet --json >document
for key in /expected_seconds /peak_memory_bytes; do json $key <document | grep -Ecx '[0-9.e-]+'; done
galatea quantize $model small.gguf --type Q4_0 --quiet --name miniature --max-memory 32M >/dev/null
cmp q.gguf small.gguf && echo "the same in little memory"
rm small.gguf*

echo "-- each tensor"
galatea quantize $model q2.gguf --type Q2_K --quiet --name miniature --per-tensor >table
sed -n '1,2p;/lost most/,$p' table | cut -c1-110
galatea quantize $model q2.gguf --type Q2_K --quiet --overwrite --json | json /tensors/0/max_error /tensors/0/cosine /worst/0/type
rm q2.gguf* table

echo "-- metadata and layers"
galatea quantize $model new.gguf --type Q4_0 --quiet --override-kv general.name=str:other \
  --override-kv llama.rope.freq_base=float:1e6 --override-kv mine.number=int:7 --prune-layers 0 >/dev/null
galatea inspect new.gguf --json >document
json /config/layers /config/rope_theta /metadata/general.name /metadata/mine.number /tensors/3/name <document
galatea convert new.gguf new --to safetensors --quiet >/dev/null && json /num_hidden_layers <new/config.json
rm -r new new.gguf*

echo "-- parts"
galatea quantize $model parts/new.gguf --type Q4_0 --quiet --name miniature --split-max-size 400KB >document
sed -n '5,$p' document
galatea merge parts/new-00001-of-00004.gguf new.gguf --quiet >/dev/null
cmp new.gguf q.gguf && echo "the same in one file"
galatea quantize parts/new-00002-of-00004.gguf kept/new.gguf --type Q4_K_S --allow-requantize --keep-split --quiet --json \
  --prune-layers 1 | json /files/0/name /files/3/name
ls -A kept
rm -r new.gguf* parts kept

echo "-- refused"
cp half.gguf nan.gguf
printf '\377\177' | dd of=nan.gguf bs=1 seek=$(($(stat -c %s nan.gguf) - 2)) conv=notrunc 2>/dev/null
try galatea quantize nan.gguf new.gguf --type Q4_0 --quiet
try galatea quantize nan.gguf parts/new.gguf --type Q4_0 --split-max-size 400KB --quiet
rm nan.gguf
try galatea quantize $model new.gguf --type Q4_0 --quiet --override-kv general.name=other
try galatea quantize $model new.gguf --type Q4_0 --quiet --prune-layers 2
try galatea quantize $model new.gguf --type Q4_0 --quiet --keep-split
try galatea quantize $model new.gguf --type Q4_0 --quiet --max-memory 1M
try galatea quantize q.gguf q.gguf --type Q4_0 --quiet --overwrite
try galatea quantize $model new.gguf --type Q4_K_S --tensor-type attn_q --quiet
try galatea quantize $model new.gguf --type Q4_K_S --tensor-type 'attn_(=Q5_K' --quiet
try galatea quantize $model new.gguf --type Q2_K_S --quiet
try galatea quantize $model new.gguf --type Q4_K_S --exclude-weights attn --quiet
try galatea quantize $model new.gguf --type Q4_K_S --imatrix half.gguf --quiet
try galatea quantize $model q.gguf --type Q4_0 --quiet
try galatea quantize $model new.gguf --type Q4_9 --quiet
try galatea quantize $model new.gguf --type Q4_0 --search best --quiet
try galatea quantize q.gguf new.gguf --type Q5_1 --quiet
try galatea quantize nowhere new.gguf --type Q4_0 --quiet
head -c 300000 half.gguf >cut.gguf
try galatea quantize cut.gguf new.gguf --type Q4_0 --quiet
ls
