// tokenizer.model, the vocabulary of SentencePiece: a protocol-buffer message ModelProto.
//
//   field     name                                      type     default              meaning
//   1         pieces                                    messages                      one a token, by id
//   1.1       piece                                     string                        its text
//   1.2       score                                     float    0
//   1.3       type                                      enum     1                    1 NORMAL ... 6 BYTE
//   2         trainer_spec                              message
//   2.3       model_type                                enum     1                    1 UNIGRAM, 2 BPE,
//                                                                                     3 WORD, 4 CHAR
//   2.24      treat_whitespace_as_suffix                bool     false
//   2.35      byte_fallback                             bool     false
//   2.40-43   unk_id bos_id eos_id pad_id               int32    0 1 2 -1             -1: none
//   2.45-48   unk_piece bos_piece eos_piece pad_piece   string   <unk> <s> </s> <pad>
//   3         normalizer_spec                           message
//   3.1       name                                      string                        "identity", ...
//   3.2       precompiled_charsmap                      bytes                         empty for identity
//   3.3       add_dummy_prefix                          bool     true
//   3.4       remove_extra_whitespaces                  bool     true
//   3.5       escape_whitespaces                        bool     true                 spaces become U+2581
//
// Source: sentencepiece_model.proto of google/sentencepiece (proto2). Only the tables are read and
// written here; the segmentation is the eval room's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/source.h"

namespace galatea {

enum class PieceType : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct SentencePiece {
  std::string text;  ///< UTF-8, not empty, unique
  float score = 0;
  PieceType type = PieceType::normal;
};

enum class SentencePieceAlgorithm : std::uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };

struct SentencePieceModel {
  std::vector<SentencePiece> pieces;  ///< a piece's place is its token id

  SentencePieceAlgorithm algorithm = SentencePieceAlgorithm::unigram;
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  std::int32_t unk_id = 0, bos_id = 1, eos_id = 2, pad_id = -1;
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";

  std::string normalizer_name;
  std::string precompiled_charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

/// Reads and checks a tokenizer.model: every piece UTF-8, not empty and there once, scores finite, exactly
/// one unknown piece, byte pieces named <0xNN>, ids within the vocabulary. Throws Error(input).
SentencePieceModel read_sentencepiece_model(const ByteSource& source);

/// The file's bytes, which SentencePiece and read_sentencepiece_model() load as this model. Nothing of them is
/// what the trainer wrote beside the fields above (its settings, its texts for tests).
std::string write_sentencepiece_model(const SentencePieceModel& model);

}  // namespace galatea
