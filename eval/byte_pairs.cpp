#include "eval/byte_pairs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <queue>

#include "format/error.h"
#include "format/utf8.h"

namespace galatea {
namespace {

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U |
         static_cast<std::uint32_t>(right);
}

std::string byte_token(unsigned byte) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "<0x%02X>", byte);
  return text.data();
}

}  // namespace

/// A piece of the word in the making; joined ones have id -1.
struct BytePairs::Symbol {
  std::int32_t id;
  std::int32_t previous, next;  ///< -1: none
};

struct BytePairs::Candidate {
  std::uint32_t rank;
  std::int32_t at, id;

  /// The lowest rank, then the leftmost place, comes first out of a queue.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

BytePairs::BytePairs(const BytePairModel& model)
    : fuse_unknown_(model.fuse_unknown), whole_words_first_(model.whole_words_first) {
  for (const auto& [token, id] : model.vocabulary) {
    if (id < 0) throw Error(ErrorKind::input, "a token has no usable id").found(printable(token));
    ids_[token] = id;
    size_ = std::max(size_, static_cast<std::size_t>(id) + 1);
  }
  std::uint32_t rank = 0;
  for (const auto& [left, right] : model.merges) {
    const auto a = id_of(left);
    const auto b = id_of(right);
    const auto joined = id_of(left + right);
    if (!a || !b || !joined) {
      throw Error(ErrorKind::input, "a merge speaks of tokens that the vocabulary lacks")
          .found(printable(left) + " " + printable(right));
    }
    merges_.insert_or_assign(key_of(*a, *b), Merge{rank++, *joined});
  }
  if (model.unknown) {
    unknown_ = id_of(*model.unknown);
    if (!unknown_)
      throw Error(ErrorKind::input, "the unknown token is not in the vocabulary")
          .found(printable(*model.unknown));
  }
  if (model.byte_fallback) {
    for (unsigned byte = 0; byte < 256; ++byte) bytes_.push_back(id_of(byte_token(byte)).value_or(-1));
  }
}

std::optional<std::int32_t> BytePairs::id_of(std::string_view token) const {
  const auto place = ids_.find(std::string(token));
  return place == ids_.end() ? std::nullopt : std::optional(place->second);
}

const BytePairs::Merge* BytePairs::merge_of(std::int32_t left, std::int32_t right) const {
  const auto place = merges_.find(key_of(left, right));
  return place == merges_.end() ? nullptr : &place->second;
}

std::vector<BytePairs::Symbol> BytePairs::characters(std::string_view word) const {
  std::vector<Symbol> out;
  bool unknown_waits = false;
  const auto add = [&](std::int32_t id) {
    const auto at = static_cast<std::int32_t>(out.size());
    if (at > 0) out.back().next = at;
    out.push_back({id, at - 1, -1});
  };
  while (!word.empty()) {
    const std::string_view one = word.substr(0, std::max<std::size_t>(utf8_length(word), 1));
    word.remove_prefix(one.size());
    if (const auto id = id_of(one)) {
      if (unknown_waits) add(*unknown_);
      unknown_waits = false;
      add(*id);
      continue;
    }
    const auto has_byte = [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; };
    if (!bytes_.empty() && std::all_of(one.begin(), one.end(), has_byte)) {
      for (const char c : one) add(bytes_[static_cast<unsigned char>(c)]);
    } else if (unknown_) {
      if (unknown_waits && !fuse_unknown_) add(*unknown_);
      unknown_waits = true;
    }
  }
  if (unknown_waits) add(*unknown_);
  return out;
}

void BytePairs::encode(std::string_view word, std::vector<std::int32_t>& out) const {
  if (word.empty()) return;
  if (whole_words_first_) {
    if (const auto id = id_of(word)) {
      out.push_back(*id);
      return;
    }
  }
  std::vector<Symbol> symbols = characters(word);
  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::int32_t at) {
    if (at < 0 || symbols[static_cast<std::size_t>(at)].next < 0) return;
    const Symbol& left = symbols[static_cast<std::size_t>(at)];
    const Merge* merge = merge_of(left.id, symbols[static_cast<std::size_t>(left.next)].id);
    if (merge != nullptr) queue.push({merge->rank, at, merge->id});
  };
  for (std::size_t at = 0; at + 1 < symbols.size(); ++at) consider(static_cast<std::int32_t>(at));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(best.at)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    // The pair may have changed since; what counts is that it still makes the same token.
    const Merge* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) out.push_back(symbol.id);
  }
}

}  // namespace galatea
