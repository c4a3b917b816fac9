#include "eval/sentencepiece_proto.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "format/error.h"

namespace galatea {
namespace {

/// Appends fields of one message to a string.
class MessageWriter {
 public:
  void number(std::uint32_t field, std::uint64_t value) {
    varint(field << 3U);
    varint(value);
  }
  /// Negative numbers take ten bytes, as protocol buffers have it for int32.
  void signed_number(std::uint32_t field, std::int32_t value) {
    number(field, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  }
  void text(std::uint32_t field, std::string_view value) {
    varint(field << 3U | 2U);
    varint(value.size());
    out_ += value;
  }
  void float32(std::uint32_t field, float value) {
    varint(field << 3U | 5U);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) out_ += static_cast<char>(bits >> shift & 0xFFU);
  }
  const std::string& bytes() const { return out_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) out_ += static_cast<char>((value & 0x7FU) | 0x80U);
    out_ += static_cast<char>(value);
  }

  std::string out_;
};

constexpr std::string_view remedy = "give the tokenizer.model of the model with --tokenizer";

std::optional<std::int32_t> special_id(const GgufFile& file, std::string_view key, std::size_t vocabulary) {
  const auto id = file.get_signed(key);
  if (!id) return {};
  // Some writers say "none" with -1 or with the largest u32.
  if (*id == -1 || *id == std::numeric_limits<std::uint32_t>::max()) return {};
  if (*id < 0 || static_cast<std::uint64_t>(*id) >= vocabulary) {
    throw Error(ErrorKind::input, std::string(key) + " is outside of the vocabulary")
        .file(file.files().front())
        .expected("0 to " + std::to_string(vocabulary - 1))
        .found(std::to_string(*id));
  }
  return static_cast<std::int32_t>(*id);
}

}  // namespace

std::string write_sentencepiece_model(const SentencePieceModel& model) {
  MessageWriter whole;
  for (const SentencePiece& piece : model.pieces) {
    MessageWriter message;
    message.text(1, piece.text);
    message.float32(2, piece.score);
    message.number(3, static_cast<std::uint64_t>(piece.type));
    whole.text(1, message.bytes());
  }
  MessageWriter trainer;
  trainer.number(3, static_cast<std::uint64_t>(model.algorithm));
  trainer.number(24, model.treat_whitespace_as_suffix ? 1 : 0);
  trainer.number(35, model.byte_fallback ? 1 : 0);
  trainer.signed_number(40, model.unk_id);
  trainer.signed_number(41, model.bos_id);
  trainer.signed_number(42, model.eos_id);
  trainer.signed_number(43, model.pad_id);
  trainer.text(45, model.unk_piece);
  trainer.text(46, model.bos_piece);
  trainer.text(47, model.eos_piece);
  trainer.text(48, model.pad_piece);
  whole.text(2, trainer.bytes());
  MessageWriter normalizer;
  normalizer.text(1, model.normalizer_name);
  normalizer.text(2, model.precompiled_charsmap);
  normalizer.number(3, model.add_dummy_prefix ? 1 : 0);
  normalizer.number(4, model.remove_extra_whitespaces ? 1 : 0);
  normalizer.number(5, model.escape_whitespaces ? 1 : 0);
  whole.text(3, normalizer.bytes());
  return whole.bytes();
}

SentencePieceModel sentencepiece_model_of(const GgufFile& file) {
  const auto fail = [&](const std::string& problem) {
    return Error(ErrorKind::input, problem).file(file.files().front()).remedy(remedy);
  };
  const std::string* kind = file.get_string("tokenizer.ggml.model");
  if (kind == nullptr) throw fail("the GGUF file carries no vocabulary");
  if (*kind != "llama") {
    throw fail("the vocabulary of the GGUF file is of a kind that galatea does not know")
        .expected("tokenizer.ggml.model = llama (SentencePiece)")
        .found(printable(*kind));
  }
  const auto* tokens = file.get_strings("tokenizer.ggml.tokens");
  const auto scores = file.get_numbers("tokenizer.ggml.scores");
  const auto types = file.get_integers("tokenizer.ggml.token_type");
  if (tokens == nullptr || !scores || !types || tokens->empty() || scores->size() != tokens->size() ||
      types->size() != tokens->size()) {
    throw fail("the vocabulary of the GGUF file is not whole")
        .expected("tokenizer.ggml.tokens, .scores and .token_type of one length");
  }
  SentencePieceModel model;
  model.algorithm = SentencePieceAlgorithm::bpe;
  model.normalizer_name = "identity";
  model.remove_extra_whitespaces =
      file.get_boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  model.add_dummy_prefix = file.get_boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const std::int64_t type = (*types)[i];
    if (type < 1 || type > 6) throw fail("a token has the unknown type " + std::to_string(type));
    if ((*tokens)[i].empty()) throw fail("token " + std::to_string(i) + " of the vocabulary is empty");
    model.pieces.push_back({(*tokens)[i], static_cast<float>((*scores)[i]), static_cast<PieceType>(type)});
    if (model.pieces.back().type == PieceType::byte) model.byte_fallback = true;
    if (model.pieces.back().type == PieceType::unknown) model.unk_id = static_cast<std::int32_t>(i);
  }
  const auto take = [&](std::string_view key, std::int32_t fallback, std::int32_t& id, std::string& piece) {
    const auto stated =
        file.find(key) == nullptr ? fallback : special_id(file, key, tokens->size()).value_or(-1);
    id = stated >= 0 && static_cast<std::size_t>(stated) < tokens->size() ? stated : -1;
    if (id >= 0) piece = (*tokens)[static_cast<std::size_t>(id)];
  };
  take("tokenizer.ggml.bos_token_id", 1, model.bos_id, model.bos_piece);
  take("tokenizer.ggml.eos_token_id", 2, model.eos_id, model.eos_piece);
  take("tokenizer.ggml.padding_token_id", -1, model.pad_id, model.pad_piece);
  model.unk_piece = model.pieces[static_cast<std::size_t>(model.unk_id)].text;
  return read_sentencepiece_model(*memory_source(write_sentencepiece_model(model), file.files().front()));
}

}  // namespace galatea
