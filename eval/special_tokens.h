// Which literal texts ("<unk>", "<s>", ...) stand for tokens, what happens to the spaces beside them and what
// is put around a text: the rules of Hugging Face's slow LlamaTokenizer (transformers 4.28).
//
//   tokenizer_config.json     bos_token, eos_token, unk_token, pad_token: text, or {"content", "lstrip",
//                             "rstrip"}; add_bos_token (true), add_eos_token (false), legacy (true)
//   special_tokens_map.json   the same names; wins over the former. A plain text here, unlike there, makes
//                             the tokenizer strip spaces on both sides of the token
//   added_tokens.json         {text: id} beyond the vocabulary; stripped on both sides unless named above.
//                             Where that file is missing: added_tokens_decoder of tokenizer_config.json, the
//                             form of transformers 4.34 and later, {id: {"content", "lstrip", "rstrip"}}
//
// "legacy": false, which 4.28 did not know, is read as transformers 4.34 and later do: one space in front of the whole
// text, none behind special tokens, and nothing stripped but where an object says so. Source: from_pretrained,
// sanitize_special_tokens and tokenize of transformers 4.28.1 and 4.45; perplexity of text with <unk> depends on it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/sentencepiece_model.h"

namespace galatea {

struct SpecialToken {
  std::string text;  ///< not empty
  std::int32_t id = 0;
  bool strip_left = false, strip_right = false;  ///< white space before, after the token is dropped
  bool named = true;  ///< by an attribute (unk_token, additional_special_tokens ...)
};

struct SpecialTokens {
  std::vector<SpecialToken> tokens;         ///< cut out of the text, each text once
  std::optional<std::int32_t> first, last;  ///< put before and after the ids of a text (BOS, EOS)
  bool legacy = true;   ///< each stretch between special tokens gets its own space in front
  std::string variant;  ///< "no-strip", "strip", "legacy-false" or "plain"
  std::string source;   ///< where that was read, for people
};

/// The ways to treat special tokens that published numbers were made with.
enum class UnkRule {
  no_strip,      ///< cut out, the spaces beside them stay
  strip,         ///< cut out with the spaces beside them
  legacy_false,  ///< cut out, no space put in front of the stretches between
  plain,         ///< nothing is special: "<unk>" is three pieces of text
};

/// The values of --unk, in the order above.
inline constexpr std::string_view unk_rule_names[] = {"no-strip", "strip", "legacy-false", "plain"};

/// As transformers would choose from the tokenizer files in `folder`; the defaults of LlamaTokenizer where
/// there are none. Throws Error(input) for damaged files.
SpecialTokens special_tokens_in(const std::filesystem::path& folder, const SentencePieceModel& model);

/// The special tokens that the vocabulary itself names, as LlamaTokenizer treats them by default.
SpecialTokens special_tokens_of(const SentencePieceModel& model);

/// `tokens` with the treatment that the user asked for.
SpecialTokens with_rule(SpecialTokens tokens, UnkRule rule, const SentencePieceModel& model);

/// A stretch of text: a special token, or what lies between two of them.
struct Stretch {
  std::string_view text;
  const SpecialToken* special = nullptr;
};

/// Cuts `text` at every special token (leftmost first, longest of those that start together) and strips white
/// space as the tokens demand. Empty stretches are left out.
std::vector<Stretch> cut_at_special_tokens(std::string_view text, const SpecialTokens& special);

}  // namespace galatea
