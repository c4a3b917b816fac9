// What happens to text before byte-pair encoding, as tokenizer.json of Hugging Face's tokenizers describes it.
//
//   "normalizer"      Sequence; Prepend; Replace
//   "pre_tokenizer"   Sequence; ByteLevel; Split (Isolated, Removed); Digits; Metaspace
//
// Each other kind is refused by its name. ByteLevel writes every byte as a character: printable ones of Latin-1 as
// themselves, the others as U+0100 and on; so it is done last.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

/// Text to text.
using Normalizer = std::function<std::string(std::string)>;
/// The words that a stretch of text falls into. `at_start`: it begins the whole text.
using PreTokenizer = std::function<std::vector<std::string>(std::string_view text, bool at_start)>;

/// Of a "normalizer" or "pre_tokenizer" of tokenizer.json; null changes nothing. Throws Error(input).
Normalizer make_normalizer(const nlohmann::json& step);
PreTokenizer make_pre_tokenizer(const nlohmann::json& step);

/// Bytes as ByteLevel writes them.
std::string byte_level(std::string_view bytes);

/// GPT-2's words: ByteLevel's own expression.
extern const char* const gpt2_words;

}  // namespace galatea
