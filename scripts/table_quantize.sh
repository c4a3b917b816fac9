#!/usr/bin/env bash
# What each type costs and keeps: the table of README.md, of the miniature release.
#
#   scripts/table_quantize.sh [LLAMA_PERPLEXITY...]
#
# The release is decoded, quantized to every type and mix (those marked * with the importance matrix of tests/data) and
# scored on its wiki.test.raw as llama-perplexity does, windows of 256. Each LLAMA_PERPLEXITY, the program of llama.cpp or
# of ik_llama.cpp, then scores the same file: exit code 1 unless it gives the same three digits (it rounds activations to 8
# bits, we do not), and at least one of them loads every type. WINDOWS (default all, 188) takes fewer of them; TYPES chooses types.
. "$(dirname "$0")/lib.sh"

peers=()
for peer in "$@"; do peers+=("$(realpath "$peer")"); done
say "building"
build galatea_program
galatea=$root/build/release/galatea
data=$root/tests/data
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-table.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
text=$data/miniature/corpora/wiki.test.raw
windows=${WINDOWS:-188}
"$galatea" --quiet decode --payload "$data/miniature/payload" --base "$data/miniature/base-hf" --out hf >/dev/null
"$galatea" --quiet convert hf f16.gguf --to gguf --dtype F16 >/dev/null
if [ -n "${TYPES-}" ]; then
  read -ra types <<<"$TYPES"
else
  mapfile -t types < <("$galatea" quantize --help | awk '/--type TYPE/ {on = 1} /--pure/ {on = 0} on' |
    tr -s ' ' '\n' | grep -E '^(I?Q[0-9]|B?F[0-9]|TQ|MXFP4)')
fi

# llama.cpp's rearranged blocks crash on some processors, with its own files too: the blocks as they are stored.
as_stored() { if grep -q -e --no-repack <<<"$("$1" --help 2>&1)"; then echo --no-repack; fi; }
name_of() { printf '%s' "${1%/build/*}" | sed 's|.*/||'; }
head='| type | bits a weight | bytes | perplexity |' line='|---|---|---|---|'
for peer in ${peers[@]+"${peers[@]}"}; do head+=" $(name_of "$peer") |" line+='---|'; done
printf '%s\n%s\n' "$head" "$line"
failed=0
for type in "${types[@]}"; do
  rm -f m.gguf
  mark=
  if ! "$galatea" --quiet quantize f16.gguf m.gguf --type "$type" >out 2>/dev/null; then
    mark='*'
    "$galatea" --quiet quantize f16.gguf m.gguf --type "$type" --imatrix "$data/imatrix/miniature.imatrix.gguf" >out
  fi
  bits=$(sed -n 's/.* bytes, \([0-9.]*\) bits for each weight.*/\1/p' out)
  ours=$("$galatea" --quiet perplexity m.gguf --data text --corpus-file "$text" --ctx 256 --protocol llama.cpp \
    --windows ":$windows" | awk '$1 == "perplexity" {print $2}')
  loads=0
  row="| $type$mark | $bits | $(stat -c %s m.gguf) | $(printf '%.3f' "$ours") |"
  for peer in ${peers[@]+"${peers[@]}"}; do
    for _ in 1 2 3; do  # the last line of a run may be lost when llama-perplexity ends
      theirs=$("$peer" -m m.gguf -f "$text" -c 256 -t "$(nproc)" --chunks "$windows" $(as_stored "$peer") 2>&1 |
        sed -n 's/.*Final estimate: PPL.* = \([0-9.]*\) .*/\1/p') || true
      [ -z "$theirs" ] || break
    done
    verdict=
    [ -z "$theirs" ] || loads=1
    if [ -n "$theirs" ] && ! awk "BEGIN {exit !(($ours - $theirs) ^ 2 < (0.005 * $ours) ^ 2)}"; then
      verdict=' DIFFERS'
      failed=1
    fi
    row+=" ${theirs:-does not load}$verdict |"
  done
  printf '%s\n' "$row"
  if [ $loads = 0 ] && [ ${#peers[@]} -gt 0 ]; then failed=1; fi
done
exit $failed
