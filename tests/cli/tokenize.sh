# The tokens of the miniature's corpora, written and counted.
model=data/miniature/base-hf corpora=data/miniature/corpora
try galatea tokenize $model --data ptb-new --corpus-file $corpora/ptb.test.txt --ctx 256 --out ids.i32
sha256sum ids.i32
json /command /outputs/0/sha256 <ids.i32.galatea.json
try galatea tokenize $model --data ptb-new --corpus-file $corpora/ptb.test.txt --out ids.i32
galatea tokenize $model/tokenizer.model --data ptb-new --corpus-file $corpora/ptb.test.txt --unk strip --json |
  json /tokens /unk
galatea tokenize $model --data c4-new --corpus-file $corpora/c4-validation.jsonl --ctx 16 --json | json /tokens

# Wrong usage and wrong input.
try galatea tokenize $model
try galatea tokenize $model --data wikitext --corpus-file $corpora/wiki.test.raw
try galatea tokenize $model --data ptb --corpus-file $corpora/ptb.valid.txt --unk other
try galatea tokenize $model --data c4-new --corpus-file $corpora/wiki.test.raw
try galatea tokenize $model --data ptb --corpus-file $corpora/absent
try galatea tokenize data/miniature/release.json --data ptb --corpus-file $corpora/ptb.valid.txt
