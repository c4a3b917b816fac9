# The token streams of the corpora, and of hostile text, with the vocabularies that models have: those of transformers and
# tokenizers (tests/data/tokenizer/streams.tsv, made by scripts/oracles/stream_goldens.py).
#
# LLaMA's need the evaluation data beside the project (GALATEA_DATA). GALATEA_VOCABULARIES may name GGUF files with the
# byte-level ones: SmolLM2's, and ggml-vocab-llama-bpe and ggml-vocab-gpt-2 of llama.cpp's repository. GALATEA_LONG=1: texts
# of 10 MB with every tokenizer.
corpora=${GALATEA_DATA:-$(readlink -f data)/../../../shared/data}
[ -e "$corpora/tokenizer.model" ] || skip "needs tokenizer.model in ../shared/data or in the folder GALATEA_DATA names"

tr -d ' \n' <"$corpora/wiki.test.raw" >once
for i in 1 2 3 4 5 6 7 8 9 10; do cat once; done >unspaced.txt
head -c 10000000 /dev/zero | tr '\0' a >a.txt

# What the converters of LLaMA's tokenizer.model write: that of 2023, then those of today, with "legacy" true and false.
mkdir -p meta
cp "$corpora/tokenizer.model" meta
echo '{"dim": 512, "multiple_of": 256, "n_heads": 8, "n_layers": 1, "norm_eps": 1e-06, "vocab_size": -1}' >meta/params.json
galatea --quiet base meta hf --side-files-only >written
mv hf/tokenizer.json 2023.json
sed 's/"normalized": true/"normalized": false/' 2023.json >today.json
mark=$'\xE2\x96\x81'
sed -z 's/"normalizer": {.*"pre_tokenizer": null/"normalizer": null, "pre_tokenizer": {"type": "Metaspace", "replacement": "'"$mark"'", "prepend_scheme": "first", "split": false}/' \
  today.json >legacy-false.json
sed 's/"tokenizer_class"/"legacy": false, "tokenizer_class"/' hf/tokenizer_config.json >configuration
mv configuration hf/tokenizer_config.json
mkdir strip
cp meta/tokenizer.model strip
echo '{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}' >strip/special_tokens_map.json

# check NAME TOKENIZER: all lines of NAME in the list.
check() {
  local name=$1 tokenizer=$2 text tokens digest same=0 data file
  while read -r text tokens digest; do
    data=$text
    case $name:$text in  # 10 MB each
      slow:* | fast:*) ;;
      *:unspaced | *:a) [ -n "${GALATEA_LONG-}" ] || continue ;;
    esac
    case $text in
      wikitext2) file=$corpora/wiki.test.raw ;;
      raw) data=text file=$corpora/wiki.test.raw ;;
      ptb) file=$corpora/ptb.valid.txt ;;
      ptb-new) file=$corpora/ptb.test.txt ;;
      c4 | c4-new) file=$corpora/c4-validation-00000.first1025.jsonl ;;
      hostile) data=text file=data/tokenizer/hostile.txt ;;
      *) data=text file=$text.txt ;;
    esac
    galatea --quiet tokenize "$tokenizer" --data "$data" --corpus-file "$file" --json | json /tokens /stream_sha256 >found
    printf '%s\n"%s"\n' "$tokens" "$digest" | diff - found >difference && same=$((same + 1)) ||
      { echo "$name: $text differs"; cat difference; }
  done < <(sed -n "s/^$name\t//p" data/tokenizer/streams.tsv)
  echo "$name: $same streams"
}
check slow meta/tokenizer.model
check slow-strip strip
check slow-legacy-false hf
check fast-2023 2023.json
check fast today.json
check fast-legacy-false legacy-false.json

for vocabulary in ${GALATEA_VOCABULARIES-}; do
  name=$(galatea inspect "$vocabulary" --json | sed -n 's/.*"tokenizer.ggml.pre": "\\"\(.*\)\\"".*/\1/p')
  check "$name" "$vocabulary" >result
  grep -Eqx "$name: [79] streams" result || cat result
done
