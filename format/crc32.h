// CRC-32 as zip and gzip have it (polynomial EDB88320, reflected), at the speed of the processor's carry-less
// multiplication where it has one (libdeflate chooses at run time).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace galatea {

/// The CRC-32 of `bytes`; of what `before` is the CRC-32 of and `bytes` behind it.
std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

/// The CRC-32 of two stretches, one behind the other, from theirs; `second_size` is in bytes.
std::uint32_t crc32_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_size);

}  // namespace galatea
