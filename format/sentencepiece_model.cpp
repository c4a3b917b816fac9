#include "format/sentencepiece_model.h"

#include <cmath>
#include <cstdio>
#include <string_view>
#include <unordered_set>

#include "format/error.h"
#include "format/protobuf.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::uint64_t largest_model = std::uint64_t{64} << 20U;

[[noreturn]] void refuse(const ProtobufReader& at, const ByteSource& source, const std::string& problem) {
  throw Error(ErrorKind::input, problem)
      .file(source.name())
      .at(at.position())
      .remedy("check the file against the release's digest; it is no usable SentencePiece model");
}

std::string text_of(const ProtobufReader& field, const ByteSource& source) {
  if (!is_utf8(field.bytes())) refuse(field, source, "a text of the tokenizer is not UTF-8");
  return std::string(field.bytes());
}

bool is_byte_name(std::string_view text) {
  if (text.size() != 6) return false;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    if (text == name) return true;
  }
  return false;
}

SentencePiece read_piece(const ProtobufReader& outer, const ByteSource& source) {
  SentencePiece piece;
  for (ProtobufReader field = outer.message(); field.next();) {
    switch (field.number()) {
      case 1:
        piece.text = text_of(field, source);
        break;
      case 2:
        piece.score = field.float32();
        break;
      case 3: {
        const std::uint64_t type = field.varint();
        if (type < 1 || type > 6)
          refuse(field, source, "a piece has the unknown type " + std::to_string(type));
        piece.type = static_cast<PieceType>(type);
        break;
      }
      default:
        break;
    }
  }
  if (piece.text.empty()) refuse(outer, source, "a piece of the vocabulary is empty");
  if (!std::isfinite(piece.score)) refuse(outer, source, "the score of a piece is not finite");
  if (piece.type == PieceType::byte && !is_byte_name(piece.text)) {
    refuse(outer, source, "a byte piece is not named <0xNN> but " + printable(piece.text));
  }
  return piece;
}

void read_trainer(SentencePieceModel& model, const ProtobufReader& outer, const ByteSource& source) {
  for (ProtobufReader field = outer.message(); field.next();) {
    switch (field.number()) {
      case 3: {
        const std::uint64_t type = field.varint();
        if (type < 1 || type > 4)
          refuse(field, source, "unknown segmentation algorithm " + std::to_string(type));
        model.algorithm = static_cast<SentencePieceAlgorithm>(type);
        break;
      }
      case 24:
        model.treat_whitespace_as_suffix = field.boolean();
        break;
      case 35:
        model.byte_fallback = field.boolean();
        break;
      case 40:
        model.unk_id = field.int32();
        break;
      case 41:
        model.bos_id = field.int32();
        break;
      case 42:
        model.eos_id = field.int32();
        break;
      case 43:
        model.pad_id = field.int32();
        break;
      case 45:
        model.unk_piece = text_of(field, source);
        break;
      case 46:
        model.bos_piece = text_of(field, source);
        break;
      case 47:
        model.eos_piece = text_of(field, source);
        break;
      case 48:
        model.pad_piece = text_of(field, source);
        break;
      default:
        break;
    }
  }
}

void read_normalizer(SentencePieceModel& model, const ProtobufReader& outer, const ByteSource& source) {
  for (ProtobufReader field = outer.message(); field.next();) {
    switch (field.number()) {
      case 1:
        model.normalizer_name = text_of(field, source);
        break;
      case 2:
        model.precompiled_charsmap = std::string(field.bytes());
        break;
      case 3:
        model.add_dummy_prefix = field.boolean();
        break;
      case 4:
        model.remove_extra_whitespaces = field.boolean();
        break;
      case 5:
        model.escape_whitespaces = field.boolean();
        break;
      default:
        break;
    }
  }
}

void check_whole(const SentencePieceModel& model, const ByteSource& source) {
  const auto fail = [&](const std::string& problem) {
    throw Error(ErrorKind::input, problem)
        .file(source.name())
        .remedy("check the file against the release's digest; it is no usable SentencePiece model");
  };
  std::unordered_set<std::string_view> seen;
  std::size_t unknown = 0;
  for (const SentencePiece& piece : model.pieces) {
    if (!seen.insert(piece.text).second) fail("the piece " + printable(piece.text) + " is there twice");
    if (piece.type == PieceType::unknown) ++unknown;
  }
  if (unknown != 1) fail("the vocabulary has " + std::to_string(unknown) + " unknown pieces, not one");
  for (const std::int32_t id : {model.unk_id, model.bos_id, model.eos_id, model.pad_id}) {
    if (id < -1 || (id >= 0 && static_cast<std::size_t>(id) >= model.pieces.size())) {
      fail("the special token " + std::to_string(id) + " is outside of the vocabulary of " +
           std::to_string(model.pieces.size()) + " pieces");
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const ByteSource& source) {
  const std::string text = source.read_text(largest_model);
  SentencePieceModel model;
  for (ProtobufReader field(text, source.name()); field.next();) {
    switch (field.number()) {
      case 1:
        model.pieces.push_back(read_piece(field, source));
        break;
      case 2:
        read_trainer(model, field, source);
        break;
      case 3:
        read_normalizer(model, field, source);
        break;
      default:
        break;
    }
  }
  check_whole(model, source);
  return model;
}

}  // namespace galatea
