// Text to token ids, as the tokenizers that published scores were computed with do it.
//
// From a tokenizer.model: SentencePiece's segmentation (eval/segmenter.h) between the special tokens that Hugging
// Face's slow LlamaTokenizer cuts out of the text first (eval/special_tokens.h). From a tokenizer.json: what
// eval/fast_tokenizer.h says. Where both are there the former counts: published scores were computed with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/fast_tokenizer.h"
#include "eval/segmenter.h"
#include "eval/special_tokens.h"
#include "format/checkpoint.h"

namespace galatea {

class Tokenizer {
 public:
  Tokenizer(Segmenter segmenter, SpecialTokens special);
  Tokenizer(FastTokenizer fast, const std::string& source);

  /// The ids of `text`, if `around` with BOS before and EOS after as the rules say. Throws Error(input) naming the byte
  /// when `text` is not UTF-8. Any number of threads may call it at once.
  std::vector<std::int32_t> encode(std::string_view text, bool around = true) const;

  const SpecialTokens& special() const { return special_; }
  /// Ids run from 0 to this, exclusive; added tokens included.
  std::size_t vocabulary_size() const;

 private:
  std::vector<std::int32_t> encode_stretch(std::string_view text) const;

  std::optional<Segmenter> segmenter_;
  std::optional<FastTokenizer> fast_;
  SpecialTokens special_;
};

/// From a tokenizer.model, tokenizer.json, a GGUF file, a checkpoint folder, or a weight file with one of these beside
/// it. Rules come from the files beside tokenizer.model unless `rule` is given; a tokenizer.json is its own rule. Throws
/// Error: input, usage for a `rule` where there is no choice.
Tokenizer open_tokenizer(const std::filesystem::path& path, std::optional<UnkRule> rule = {});

/// The tokenizer that a checkpoint brings along.
Tokenizer open_tokenizer(const Checkpoint& checkpoint, std::optional<UnkRule> rule = {});

}  // namespace galatea
