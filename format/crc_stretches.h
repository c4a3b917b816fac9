// The CRC-32 of a run of bytes that goes by in pieces, in any order: one number for each stretch known so far,
// and neighbours grow together until one stretch is the whole.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

namespace galatea {

/// Not for several threads at once.
class CrcStretches {
 public:
  /// Keeps the CRC-32 of [begin, end) unless a part of it is known already.
  void add(std::uint64_t begin, std::uint64_t end, std::uint32_t crc);

  /// The first part of [0, size) that is not known; empty (first >= second) when all is.
  std::pair<std::uint64_t, std::uint64_t> gap(std::uint64_t size) const;

  /// Of the whole, once gap() is empty; 0 for no bytes.
  std::uint32_t whole() const { return stretches_.empty() ? 0 : stretches_.begin()->second.crc; }

 private:
  struct Stretch {
    std::uint64_t end;
    std::uint32_t crc;
  };
  using Place = std::map<std::uint64_t, Stretch>::iterator;
  Place join(Place first, Place second);

  std::map<std::uint64_t, Stretch> stretches_;
};

}  // namespace galatea
