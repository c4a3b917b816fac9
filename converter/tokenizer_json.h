// tokenizer.json, the file of Hugging Face's fast tokenizers, made from tokenizer.model alone.
//
// Byte for byte what LlamaTokenizerFast(tokenizer.model).save_pretrained() of transformers 4.28 with
// tokenizers 0.13.3 wrote:
//
//   added_tokens    <unk> <s> </s>, ids 0 1 2, normalized, special; then those of added_tokens.json by id,
//                   normalized unless they are special
//   normalizer      Sequence: Prepend U+2581, Replace " " by U+2581
//   post_processor  TemplateProcessing: <s> $A, and <s> $A $B
//   decoder         Sequence: Replace U+2581 by " ", ByteFallback, Fuse, Strip one " " at the start
//   model           BPE, fuse_unk, byte_fallback; vocab by id; merges (see merge_list)
//
// Layout: serde_json's pretty printer, two spaces a level, no newline at the end, nothing escaped but quotes,
// backslashes and control characters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/gguf_llama.h"
#include "format/sentencepiece_model.h"

namespace galatea {

struct BpeMerge {
  std::uint32_t left, right;  ///< token ids
};

/// Every pair of pieces whose concatenation is a piece with a score other than zero, by falling score of the
/// concatenation; equal scores by (left, right). A merge into a piece of score 0 is left out, as the
/// conversion left it out (its test for "is there such a piece" is false for 0). The first three pieces count
/// as score 0.
/// Source: SentencePieceExtractor and LlamaConverter in transformers' convert_slow_tokenizer.py.
std::vector<BpeMerge> merge_list(const SentencePieceModel& model);

/// The whole text. Throws Error(input) when the model is no BPE vocabulary that starts with <unk>, <s>, </s>:
/// the conversion takes those for granted and would write a tokenizer that tokenizes differently.
/// `added` are not among its pieces.
std::string tokenizer_json(const SentencePieceModel& model, const std::vector<AddedToken>& added = {});

}  // namespace galatea
