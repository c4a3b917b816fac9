// Writes the protocol-buffer message ModelProto, whose fields are listed in sentencepiece_model.h.
#include <bit>
#include <cstdint>
#include <string_view>

#include "format/sentencepiece_model.h"

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

}  // namespace galatea
