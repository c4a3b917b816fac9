// What the decoders of blocks share: loads without alignment, and the walk over blocks. Each source has its own copy, compiled
// for its own instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "format/dtype.h"

namespace galatea {

template <class T>
static T load_le(const std::uint8_t* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

static inline float load_f16(const std::uint8_t* in) { return f16_to_f32(load_le<std::uint16_t>(in)); }

/// Calls `decode(const uint8_t* block, float* values)` for each block of `elements` values.
template <std::uint32_t length, std::uint32_t bytes, class Decode>
static void for_blocks(const std::byte* in, float* out, std::uint64_t elements, Decode decode) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(in);
  for (std::uint64_t i = 0; i < elements; i += length, block += bytes, out += length) decode(block, out);
}

}  // namespace galatea
