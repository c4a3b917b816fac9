#!/usr/bin/env bash
# How fast models are scored, beside llama-perplexity programs in the same run, and in how much memory.
#
#   scripts/bench_perplexity.sh [LLAMA_PERPLEXITY...]
#   scripts/bench_perplexity.sh memory
#
# Without `memory`: a model of 1.1B shapes with LAYERS layers (default 4; 22 is the whole one) is generated in F16, quantized
# to TYPES (default F16 BF16 Q8_0 Q4_0 Q4_K_M Q6_K), and TOKENS tokens (default 4096) of a generated text are scored by
# llama-perplexity's protocol with windows of each of CONTEXTS (default "512 2048") on THREADS threads (default 2), by every
# peer and by galatea with --precision exact and fast, one after the other, ROUNDS times (default 1; the best counts). For
# galatea the tokens' second half of each window goes through the head, as it does for the peers. Printed are tokens a
# second of the forward pass (of a peer as it says itself, loading aside), the ratio to the faster peer, the share of what
# the processor's tiles can do at most (measured before, tests/bench/peak.cpp), where the time went, and perplexities: of
# generated weights they mean nothing, but must agree.
#
# `memory`: a model of SHAPE (default 13B) whose file is sparse where it can be (weights of zero, which are read, decoded and
# multiplied like others; a whole F16 file of 26 GB takes a few MB) is scored on WINDOWS windows (default 2) of 2,048 tokens
# with --precision PRECISION (default exact): peak memory for each of LIMITS (default "default 4G") as --max-memory, and how
# long the corpora's 474 windows would take at the measured rate.
#
# TOKENIZER is LLaMA's tokenizer.model (default $GALATEA_DATA/tokenizer.model), since the peers want the whole vocabulary.
# FOLDER (default /dev/shm, which is memory: the disk is not what is measured) holds the files.
. "$(dirname "$0")/lib.sh"
. "$root/scripts/lib_bench.sh"

mode=speed
if [ "${1-}" = memory ]; then
  mode=memory
  shift
fi
peers=()
for peer in "$@"; do peers+=("$(realpath "$peer")"); done
say "building"
build galatea_program generate_meta peak
galatea=$root/build/release/galatea
threads=${THREADS:-2}
if [ "$mode" = memory ]; then folder=${FOLDER:-${TMPDIR:-/tmp}}; else folder=${FOLDER:-/dev/shm}; fi
work_in "$folder"

quotient() { awk "BEGIN {printf \"%.2f\", $1 / $2}"; }
# scored ARGUMENT...: runs galatea perplexity, which writes result.json, and GNU time's "seconds KiB" into time.
scored() {
  /usr/bin/time -o time -f '%e %M' "$galatea" --quiet --threads "$threads" perplexity "$@" --times --json >result.json
}
value() { python3 -c 'import json, sys; d = json.load(open("result.json"))
for key in sys.argv[1:]: print(d["times"][key] if key in d["times"] else d[key], end=" ")
print()' "$@"; }

if [ "$mode" = memory ]; then
  shape=${SHAPE:-13B}
  windows=${WINDOWS:-2}
  say "generating $shape shapes, sparse"
  python3 - "$shape" "$windows" <<'PYTHON'
import array, json, math, os, random, struct, sys
hidden, heads, layers = {"7B": (4096, 32, 32), "13B": (5120, 40, 40), "30B": (6656, 52, 60), "65B": (8192, 64, 80)}[sys.argv[1]]
feed = math.ceil(hidden * 8 // 3 / 256) * 256
shapes = {"model.embed_tokens.weight": (32000, hidden), "lm_head.weight": (32000, hidden), "model.norm.weight": (hidden,)}
for layer in range(layers):
    name = f"model.layers.{layer}."
    for part in "qkvo": shapes[f"{name}self_attn.{part}_proj.weight"] = (hidden, hidden)
    for part in ("gate", "up"): shapes[f"{name}mlp.{part}_proj.weight"] = (feed, hidden)
    shapes[name + "mlp.down_proj.weight"] = (hidden, feed)
    for part in ("input", "post_attention"): shapes[f"{name}{part}_layernorm.weight"] = (hidden,)
at, header = 0, {}
for name, shape in shapes.items():
    end = at + 2 * math.prod(shape)
    header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, end]}
    at = end
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
os.mkdir("model")
with open("model/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + at)
json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": feed,
           "num_attention_heads": heads, "num_hidden_layers": layers, "vocab_size": 32000, "rms_norm_eps": 1e-6,
           "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "hidden_act": "silu",
           "initializer_range": 0.02, "tie_word_embeddings": False, "torch_dtype": "float16", "use_cache": True},
          open("model/config.json", "w"))
random.seed(1)
ids = array.array("i", [random.randrange(3, 32000) for _ in range(2048 * int(sys.argv[2]))])
open("ids.i32", "wb").write(ids.tobytes())
PYTHON
  printf '%s of weights, %s on the disk\n' "$(du -sh --apparent-size model | cut -f 1)" "$(du -sh model | cut -f 1)"
  for limit in ${LIMITS:-default 4G}; do
    option=()
    [ "$limit" = default ] || option=(--max-memory "$limit")
    scored model --ids ids.i32 --ctx 2048 --precision "${PRECISION:-exact}" "${option[@]+"${option[@]}"}"
    read -r seconds memory <time
    read -r total product decode attention head rate < <(value seconds product decode attention head tokens_per_second)
    printf -- '--max-memory %-8s peak %d MiB, %.1f tokens a second (%.0f s: product %.0f, decode %.0f, attention %.0f, head %.0f)\n' \
      "$limit" "$((memory / 1024))" "$rate" "$total" "$product" "$decode" "$attention" "$head"
    # wikitext2, ptb-new and c4-new: 166 + 52 + 256 windows of LLaMA's tokens.
    awk "BEGIN {printf \"the three corpora, 474 windows of 2,048: %.1f hours\n\", 474 * 2048 / $rate / 3600}"
  done
  exit
fi

tokenizer=${TOKENIZER:-${GALATEA_DATA:-$root/../shared/data}/tokenizer.model}
[ -f "$tokenizer" ] || die "needs LLaMA's tokenizer.model: TOKENIZER=..."
say "generating 1.1B shapes of ${LAYERS:=4} layers"
"$root/build/release/tests/generate_meta" meta 1.1B "$tokenizer" --layers "$LAYERS"
"$galatea" --quiet convert meta f16.gguf --to gguf --dtype F16 >/dev/null
rm -rf meta
# A text of words, long enough for the tokens asked for.
tokens=${TOKENS:-4096}
python3 - "$tokens" <<'PYTHON'
import random, sys
random.seed(1)
words = ["the", "statue", "came", "to", "life", "and", "spoke", "of", "marble", "and", "of", "the", "sea"]
text = []
for i in range(2 * int(sys.argv[1]) + 1024): text.append(random.choice(words) + ("." if i % 11 == 10 else ""))
open("text", "w").write(" ".join(text))
PYTHON
read -r peak peak32 < <("$root/build/release/tests/peak" "$threads")
say "$threads threads, $tokens tokens, peak $peak GFLOP/s of bfloat16 tiles, $peak32 of float32"
printf '%-7s %5s  %-20s %9s %7s %7s %6s  %s\n' type ctx program tok/s GFLOP/s ratio peak 'perplexity (product decode attention head other)'

for type in ${TYPES:-F16 BF16 Q8_0 Q4_0 Q4_K_M Q6_K}; do
  model=f16.gguf
  if [ "$type" != F16 ]; then
    rm -f model.gguf
    "$galatea" --quiet quantize f16.gguf model.gguf --type "$type" >/dev/null
    model=model.gguf
  fi
  for context in ${CONTEXTS:-512 2048}; do
    chunks=$((tokens / context))
    fastest=
    for peer in ${peers[@]+"${peers[@]}"}; do
      best=
      for ((round = 0; round < ${ROUNDS:-1}; ++round)); do
        "$peer" -m $model -f text -c "$context" -b 2048 -ub 512 --chunks "$chunks" -t "$threads" >peer.log 2>&1 || { tail -n 3 peer.log; break; }
        # "prompt eval time = MS ms / N tokens (... ms per token, RATE tokens per second)"
        rate=$(sed -n 's/.*prompt eval time.*, *\([0-9.]*\) tokens per second.*/\1/p' peer.log | tail -n 1)
        if [ -z "$best" ] || awk "BEGIN {exit !($rate > $best)}"; then best=$rate; fi
      done
      if [ -z "$best" ]; then continue; fi
      score=$(sed -n 's/.*PPL = \([0-9.]*\).*/\1/p' peer.log | tail -n 1)
      printf '%-7s %5d  %-20s %9.1f %7s %7s %6s  %s\n' "$type" "$context" "$(peer_name "$peer")" "$best" '' '' '' "$score"
      if [ -z "$fastest" ] || awk "BEGIN {exit !($best > $fastest)}"; then fastest=$best; fi
    done
    for precision in ${PRECISIONS:-exact fast}; do
      best=0
      for ((round = 0; round < ${ROUNDS:-1}; ++round)); do
        scored $model --data text --corpus-file text --protocol llama.cpp --ctx "$context" --windows ":$chunks" --precision "$precision"
        read -r rate < <(value tokens_per_second)
        if awk "BEGIN {exit !($rate > $best)}"; then
          best=$rate
          read -r score total gflops product decode attention head < <(value perplexity seconds gflops product decode attention head)
        fi
      done
      printf '%-7s %5d  %-20s %9.1f %7.0f %7s %5.0f%%  %.2f (%s)\n' "$type" "$context" "galatea $precision" "$best" "$gflops" \
        "${fastest:+$(quotient "$best" "$fastest")}" "$(awk "BEGIN {print ($peak > 0 ? 100 * $gflops / $peak : 0)}")" "$score" \
        "$(awk "BEGIN {t = $total / 100; printf \"%.0f %.0f %.0f %.0f %.0f %%\", $product / t, $decode / t, $attention / t, $head / t, ($total - $product - $decode - $attention - $head) / t}")"
    done
  done
done
