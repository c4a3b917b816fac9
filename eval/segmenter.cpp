#include "eval/segmenter.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "format/error.h"
#include "format/first_failure.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581, how SentencePiece writes a space
/// SentencePiece goes into itself as deep as a piece is long.
constexpr std::size_t longest_piece = 1024;

[[noreturn]] void refuse(const std::filesystem::path& name, const std::string& problem,
                         const std::string& found) {
  throw Error(ErrorKind::input, problem)
      .file(name)
      .expected("a SentencePiece vocabulary like LLaMA's: BPE, nothing normalised")
      .found(found)
      .remedy("galatea scores models of the LLaMA family; check that this tokenizer belongs to the model");
}

void check_kind(const SentencePieceModel& model, const std::filesystem::path& name) {
  if (model.algorithm != SentencePieceAlgorithm::bpe) {
    static constexpr const char* names[] = {"?", "unigram", "BPE", "word", "character"};
    refuse(name, "the tokenizer is of another kind",
           std::string("algorithm ") + names[static_cast<std::size_t>(model.algorithm)]);
  }
  if (!model.precompiled_charsmap.empty())
    refuse(name, "the tokenizer rewrites characters", "normaliser " + printable(model.normalizer_name));
  for (const SentencePiece& piece : model.pieces) {
    if (piece.text.size() > longest_piece) {
      refuse(name, "a piece of the vocabulary is too long",
             std::to_string(piece.text.size()) + " bytes: " + printable(piece.text, 40));
    }
  }
}

/// The character at the start of `text`, as a number of its own; a space is the mark that SentencePiece makes of it.
std::uint64_t character(std::string_view text) {
  if (text.starts_with(' ')) text = space_mark;
  std::uint64_t out = 0;
  const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
  for (const char c : text.substr(0, length)) out = out << 8U | static_cast<unsigned char>(c);
  return out;
}

/// Two neighbours, of text that starts with the first of them.
std::uint64_t neighbours(std::string_view text) {
  const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
  return character(text) << 32U | character(text.substr(length));
}

/// Calls take() with each two neighbouring characters of a piece.
template <class Take>
void each_two(std::string_view piece, const Take& take) {
  while (true) {
    const std::size_t length = std::max<std::size_t>(utf8_length(piece), 1);
    if (length >= piece.size()) return;
    take(neighbours(piece));
    piece.remove_prefix(length);
  }
}

}  // namespace

/// Where a text may be cut.
struct Segmenter::Cuts {
  /// Neighbouring characters that some piece has: no merge ever reaches across others.
  std::unordered_set<std::uint64_t> joined;
  /// Without bytes to fall back on, unknown characters in a row are one token: only spaces are safe.
  bool before_spaces_only = false;

  explicit Cuts(const SentencePieceModel& model) : before_spaces_only(!model.byte_fallback) {
    for (const SentencePiece& piece : model.pieces)
      each_two(piece.text, [&](std::uint64_t two) { joined.insert(two); });
  }

  /// The end of the part of `text` that starts at `begin` and has at least `length` bytes.
  std::size_t end_of_part(std::string_view text, std::size_t begin, std::size_t length) const {
    std::size_t before = begin + std::max<std::size_t>(length, 1) - 1;  // of the last character
    if (before >= text.size()) return text.size();
    while (before > begin && (static_cast<unsigned char>(text[before]) & 0xC0U) == 0x80U) --before;
    while (true) {
      const std::size_t end = before + std::max<std::size_t>(utf8_length(text.substr(before)), 1);
      if (end >= text.size()) return text.size();
      const bool allowed = !before_spaces_only || text[end] == ' ';
      if (allowed && !joined.contains(neighbours(text.substr(before)))) return end;
      before = end;
    }
  }
};

struct Segmenter::Processors {
  sentencepiece::SentencePieceProcessor as_model, no_prefix;

  static void load(sentencepiece::SentencePieceProcessor& processor, const SentencePieceModel& model,
                   const std::filesystem::path& name) {
    const auto status = processor.LoadFromSerializedProto(write_sentencepiece_model(model));
    if (!status.ok()) {
      throw Error(ErrorKind::input, "SentencePiece refuses the vocabulary: " + printable(status.ToString()))
          .file(name)
          .remedy("check the file against the release's digest");
    }
  }

  static void encode(const sentencepiece::SentencePieceProcessor& processor, std::string_view text,
                     std::vector<int>& ids) {
    const auto status = processor.Encode(text, &ids);
    if (!status.ok())
      throw Error(ErrorKind::input, "SentencePiece cannot segment the text: " + printable(status.ToString()));
  }
};

Segmenter::Segmenter(SentencePieceModel model, const std::filesystem::path& name) {
  check_kind(model, name);
  auto processors = std::make_shared<Processors>();
  Processors::load(processors->as_model, model, name);
  SentencePieceModel without = model;
  without.add_dummy_prefix = false;
  Processors::load(processors->no_prefix, without, name);
  const bool as_llama =
      !model.remove_extra_whitespaces && model.escape_whitespaces && !model.treat_whitespace_as_suffix;
  if (as_llama) cuts_ = std::make_shared<const Cuts>(model);
  model_ = std::make_shared<const SentencePieceModel>(std::move(model));
  processors_ = std::move(processors);
}

std::vector<std::int32_t> Segmenter::segment(std::string_view text, Prefix prefix) const {
  const auto& first = prefix == Prefix::as_model ? processors_->as_model : processors_->no_prefix;
  std::vector<std::pair<std::size_t, std::size_t>> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = cuts_ ? cuts_->end_of_part(text, begin, part_bytes_) : text.size();
    parts.emplace_back(begin, end);
    begin = end;
  }
  std::vector<std::vector<int>> ids(parts.size());
  FirstFailure failure;
#pragma omp parallel for schedule(dynamic) if (parts.size() > 1)
  for (std::size_t i = 0; i < parts.size(); ++i) {
    failure.guard([&] {
      const auto [begin, end] = parts[i];
      Processors::encode(i == 0 ? first : processors_->no_prefix, text.substr(begin, end - begin), ids[i]);
    });
  }
  failure.rethrow();
  std::vector<std::int32_t> out;
  for (const std::vector<int>& part : ids) out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace galatea
