// Vocabularies that differ: base of 32000 tokens, adapter of 32001, one of them padded to a multiple of 64.
//
//   rule    the model gets
//   keep    the base's tokens; what the adapter has beyond them is left out
//   grow    the larger number of both
//   trim    the smaller number of both
//
// Rows that only one side has are its own. Rows that neither has (a product for a token whose start was never saved,
// tokens of a tokenizer without weights, padding) are the mean of the base's rows, summed in float64.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "converter/hf_model.h"
#include "converter/lora_adapter.h"

namespace galatea {

enum class VocabularyRule { keep, grow, trim };
/// Throws Error(usage).
VocabularyRule parse_vocabulary_rule(std::string_view text);

/// The number of tokens that the adapter's own tensors for embedding and output head have; nothing without any.
/// Throws Error(input) when they differ among themselves.
std::optional<std::uint64_t> vocabulary_of_weights(const LoraAdapter& adapter);

/// The same from the tokenizer files beside it (added_tokens.json, tokenizer_config.json): highest id + 1.
std::optional<std::uint64_t> vocabulary_of_tokenizer(const LoraAdapter& adapter);

/// `rows` cut to `count` rows, or filled up with the mean of its rows.
RowsPtr with_row_count(RowsPtr rows, std::uint64_t count);

/// `adapter` as if it had been trained with `count` tokens: its products cut, or filled up with zeros, and the
/// tensors that replace the base's cut, or filled up with the rows of `model`, which has `count` tokens already.
LoraAdapter with_vocabulary(LoraAdapter adapter, const HfModel& model, std::uint64_t count);

}  // namespace galatea
