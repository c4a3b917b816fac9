// SentencePiece's segmentation of text, and nothing else: no special tokens, nothing put in front but the
// space that the model asks for.
//
// Long texts of LLaMA's kind of vocabulary are cut where no piece can reach across (between two characters that are
// neighbours in none, as before a space that follows something else) and the parts are segmented in parallel: the ids are
// those of the whole, but time and memory stay proportional to the text (SentencePiece alone takes 23 s and 1 GB for
// 10 MB).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "format/sentencepiece_model.h"

namespace galatea {

class Segmenter {
 public:
  /// Throws Error(input) for vocabularies of another kind than LLaMA's (BPE, no normalisation table) and for
  /// those that SentencePiece refuses; `name` is the file they came from.
  Segmenter(SentencePieceModel model, const std::filesystem::path& name);

  const SentencePieceModel& model() const { return *model_; }

  enum class Prefix { as_model, none };
  /// The ids of `text`, which must be UTF-8. Prefix::none leaves out the space in front.
  std::vector<std::int32_t> segment(std::string_view text, Prefix prefix) const;

  /// Cuts are made only in texts longer than this many bytes; for tests.
  void set_part_bytes(std::size_t bytes) { part_bytes_ = bytes; }

 private:
  struct Cuts;
  struct Processors;

  std::shared_ptr<const SentencePieceModel> model_;
  std::shared_ptr<const Processors> processors_;
  std::shared_ptr<const Cuts> cuts_;  ///< nothing where texts cannot be cut
  std::size_t part_bytes_ = std::size_t{1} << 15U;
};

}  // namespace galatea
