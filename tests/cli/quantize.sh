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

echo "-- refused"
try galatea quantize $model new.gguf --type Q4_K_S --tensor-type attn_q --quiet
try galatea quantize $model new.gguf --type Q4_K_S --tensor-type 'attn_(=Q5_K' --quiet
try galatea quantize $model new.gguf --type Q2_K_S --quiet
try galatea quantize $model new.gguf --type Q4_K_S --exclude-weights attn --quiet
try galatea quantize $model new.gguf --type Q4_K_S --imatrix half.gguf --quiet
try galatea quantize $model q.gguf --type Q4_0 --quiet
try galatea quantize $model new.gguf --type Q4_9 --quiet
try galatea quantize q.gguf new.gguf --type Q5_1 --quiet
try galatea quantize nowhere new.gguf --type Q4_0 --quiet
head -c 300000 half.gguf >cut.gguf
try galatea quantize cut.gguf new.gguf --type Q4_0 --quiet
ls
