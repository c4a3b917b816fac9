// Unsigned little-endian numbers in bytes that are already in memory, and into bytes to be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace galatea {

/// Reads numbers at fixed places. What lies past the end reads as zero, so check lengths first.
class LittleEndian {
 public:
  explicit LittleEndian(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint16_t u16(std::size_t at) const { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(number(at, 4)); }
  std::uint64_t u64(std::size_t at) const { return number(at, 8); }

 private:
  std::uint64_t number(std::size_t at, std::size_t width) const {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < width && at + i < bytes_.size(); ++i)
      out |= std::to_integer<std::uint64_t>(bytes_[at + i]) << (8 * i);
    return out;
  }

  std::span<const std::byte> bytes_;
};

/// Appends the lowest `width` bytes of `value`, zeros beyond its eight.
inline void append_little_endian(std::vector<std::byte>& out, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i, value >>= 8U) out.push_back(static_cast<std::byte>(value & 0xFFU));
}

}  // namespace galatea
