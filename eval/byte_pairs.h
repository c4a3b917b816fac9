// Byte-pair encoding as Hugging Face's tokenizers does it: a word falls into characters, and of all neighbouring pairs
// that have a merge the one of lowest rank, leftmost of equals, is joined until there is none.
//
// Characters that the vocabulary lacks become their bytes ("<0x0A>") where `byte_fallback` says so and all of them are
// there, else the unknown token (several in a row one, with `fuse_unknown`), else nothing. Time is O(n log n) in the
// length of a word, so that a text without spaces is no trouble.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace galatea {

struct BytePairModel {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  ///< most important first
  std::optional<std::string> unknown;
  bool byte_fallback = false, fuse_unknown = false;
  bool whole_words_first = false;  ///< "ignore_merges": a word that is in the vocabulary is not cut at all
};

class BytePairs {
 public:
  /// Throws Error(input) when merges speak of tokens that are not there.
  explicit BytePairs(const BytePairModel& model);

  /// Appends the ids of one word (UTF-8).
  void encode(std::string_view word, std::vector<std::int32_t>& out) const;
  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::size_t size() const { return size_; }

 private:
  struct Merge {
    std::uint32_t rank;
    std::int32_t id;
  };
  struct Symbol;
  struct Candidate;

  const Merge* merge_of(std::int32_t left, std::int32_t right) const;
  std::vector<Symbol> characters(std::string_view word) const;

  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::optional<std::int32_t> unknown_;
  std::vector<std::int32_t> bytes_;  ///< of "<0x00>" ..., -1 where there is none; empty without fallback
  bool fuse_unknown_, whole_words_first_;
  std::size_t size_ = 0;
};

}  // namespace galatea
