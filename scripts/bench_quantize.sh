#!/usr/bin/env bash
# How fast models are quantized, beside llama-quantize programs in the same run, and in how much memory.
#
#   scripts/bench_quantize.sh [LLAMA_QUANTIZE...]
#
# A model of 1.1B shapes (LAYERS of 22) in F16 is generated in FOLDER (default /dev/shm, which is memory: the disk is not
# what is measured; needs 6 GB) and quantized into the same folder by all programs, one after the other for each type,
# with THREADS threads (default 2), the best of ROUNDS (default 1) runs of each. Printed are seconds, GB of F16 weights a
# second, peak memory, and the ratio to the faster peer; a plain copy before, and what `--search better` takes of the types of
# SEARCHED behind. Then the time for a weight, all matrices in SCALING (default Q4_K_S), in models of 0.1B to 13B shapes, of
# which the largest have two layers here: exit code 1 when one takes 512 MiB or more. TYPES chooses types, WEIGHTED those
# that are quantized with an importance matrix (of random numbers).
. "$(dirname "$0")/lib.sh"
. "$root/scripts/lib_bench.sh"

peers=()
for peer in "$@"; do peers+=("$(realpath "$peer")"); done
say "building"
build galatea_program generate_meta
galatea=$root/build/release/galatea
threads=${THREADS:-2}
work_in "${FOLDER:-/dev/shm}"
rounds=1
before='rm -f out.gguf'
tokenizer=$root/tests/data/miniature/meta/tokenizer.model
read -ra types <<<"${TYPES:-Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_M Q4_K_M Q5_K_M Q6_K IQ4_XS IQ3_S}"
read -ra weighted <<<"${WEIGHTED-IQ3_XXS IQ2_M IQ2_XS IQ2_XXS IQ1_M IQ1_S}"

# row TYPE PROGRAM SECONDS MIB [RATIO]
row() {
  printf '%-8s %-28s %8.2f s %7.3f GB/s %6d MiB  %s\n' "$1" "$2" "$3" \
    "$(awk "BEGIN {print $bytes / 1e9 / $3}")" "$4" "${5-}"
}
# model SHAPE [OPTION...]: model.gguf of that shape in F16.
model() {
  rm -rf meta model.gguf
  "$root/build/release/tests/generate_meta" meta "$1" "$tokenizer" "${@:2}"
  "$galatea" --quiet convert meta model.gguf --to gguf --dtype F16 >/dev/null
  rm -rf meta
  bytes=$(stat -c %s model.gguf)
}

say "generating 1.1B shapes"
model 1.1B ${LAYERS:+--layers "$LAYERS"}
say "$((bytes / 1000000)) MB of F16, $threads threads"
read -r seconds memory < <(measured cp model.gguf out.gguf)
row copy cp "$seconds" "$memory"
# compared TYPE [OPTION...]: a row for each program, all with these options.
compared() {
  local type=$1 fastest= peer seconds memory
  shift
  for peer in ${peers[@]+"${peers[@]}"}; do
    read -r seconds memory < <(may_fail=1 measured "$peer" "$@" model.gguf out.gguf "$type" "$threads") || seconds=
    if [ -z "$seconds" ]; then
      printf '%-8s %-28s refuses or has no such type\n' "$type" "$(peer_name "$peer")"
      continue
    fi
    row "$type" "$(peer_name "$peer")" "$seconds" "$memory"
    if [ -z "$fastest" ] || awk "BEGIN {exit !($seconds < $fastest)}"; then fastest=$seconds; fi
  done
  read -r seconds memory < <(measured "$galatea" --quiet --threads "$threads" quantize model.gguf out.gguf --type "$type" "$@")
  row "$type" galatea "$seconds" "$memory" \
    "${fastest:+$(awk "BEGIN {printf \"%.2f times as fast\", $fastest / $seconds}")}"
}
for type in ${types[@]+"${types[@]}"}; do compared "$type"; done
if [ ${#weighted[@]} -gt 0 ]; then
  say "with an importance matrix"
  "$galatea" --json inspect model.gguf | python3 -c '
import json, random, struct, sys
random.seed(1)
tensors = [(t["name"], t["shape"][-1]) for t in json.load(sys.stdin)["tensors"] if len(t["shape"]) == 2]
with open("imatrix.dat", "wb") as out:
    out.write(struct.pack("<i", len(tensors)))
    for name, columns in tensors:
        values = [random.gauss(0, 1) ** 2 for _ in range(columns)]
        out.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, columns))
        out.write(struct.pack(f"<{columns}f", *values))'
  for type in "${weighted[@]}"; do compared "$type" --imatrix imatrix.dat; done
fi

say "galatea quantize --search better, beside its own reference search"
for type in ${SEARCHED-Q4_0 Q8_0 Q3_K_S Q4_K_M Q6_K IQ4_XS}; do
  read -r plain memory < <(measured "$galatea" --quiet --threads "$threads" quantize model.gguf out.gguf --type "$type")
  read -r seconds memory < <(measured "$galatea" --quiet --threads "$threads" quantize model.gguf out.gguf --type "$type" \
    --search better)
  row "$type" "galatea, better search" "$seconds" "$memory" "$(awk "BEGIN {printf \"%.2f times the time\", $seconds / $plain}")"
done

say "nanoseconds for a weight, ${SCALING:=Q4_K_S} for all matrices, galatea"
most=0
for shape in ${SHAPES-0.1B 0.4B 1.1B 7B 13B}; do
  case $shape in
    7B | 13B) layers=2 ;;
    *) layers=${LAYERS-} ;;
  esac
  model "$shape" ${layers:+--layers "$layers"}
  read -r seconds memory < <(measured "$galatea" --quiet --threads "$threads" quantize model.gguf out.gguf --type "$SCALING" --pure)
  printf '%-6s %10.2f ns, %.2f s for %d MB, %d MiB\n' "$shape" "$(awk "BEGIN {print $seconds * 2e9 / $bytes}")" "$seconds" \
    "$((bytes / 1000000))" "$memory"
  if ((memory > most)); then most=$memory; fi
done
((most < 512)) || die "took $most MiB, 512 is the limit"
