#include "format/crc32.h"

#include <libdeflate.h>
#include <zlib.h>

namespace galatea {

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  // Of no bytes at a null address libdeflate gives the CRC-32 to start with, whatever came before.
  return bytes.empty() ? before : libdeflate_crc32(before, bytes.data(), bytes.size());
}

std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_size) {
  return static_cast<std::uint32_t>(crc32_combine(first, second, static_cast<z_off_t>(second_size)));
}

}  // namespace galatea
