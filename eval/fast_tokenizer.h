// A tokenizer as tokenizer.json describes it (Hugging Face's "fast" tokenizers), of kind BPE: LLaMA's with byte fallback,
// and byte-level ones (GPT-2, LLaMA 3, SmolLM2), from that file or from the vocabulary inside a GGUF.
//
//   1. added tokens that are not "normalized" are cut out of the text: leftmost, the longest of those that start there,
//      with the white space beside them if "lstrip" or "rstrip";
//   2. each stretch between is normalized (text_steps.h), and the "normalized" tokens, normalized themselves, are cut
//      out of it;
//   3. what is left is cut into words (text_steps.h), each word encoded (byte_pairs.h);
//   4. the post-processor's template puts tokens before and after.
//
// What the file asks for and is not known is refused by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "eval/byte_pairs.h"
#include "eval/text_steps.h"
#include "format/gguf.h"

namespace galatea {

struct CutToken {
  std::string text;  ///< not empty
  std::int32_t id = 0;
  bool left_strip = false, right_strip = false;
};

class FastTokenizer {
 public:
  struct Parts {
    std::shared_ptr<const BytePairs> pairs;
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    std::vector<CutToken> raw, normalized;    ///< cut out before and after normalization
    std::vector<std::int32_t> before, after;  ///< put around a text
  };
  explicit FastTokenizer(Parts parts);

  /// `text` is UTF-8. Any number of threads may call it at once.
  std::vector<std::int32_t> encode(std::string_view text, bool around) const;
  std::size_t vocabulary_size() const;

 private:
  Parts parts_;
};

/// Throws Error(input).
FastTokenizer read_tokenizer_json(const std::filesystem::path& file);

/// The vocabulary of kind "gpt2" inside a GGUF; its words by tokenizer.ggml.pre: gpt-2, llama-bpe, smollm. Throws
/// Error(input) for others, by name.
FastTokenizer byte_level_tokenizer_of(const GgufFile& file);

}  // namespace galatea
