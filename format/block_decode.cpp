#include "format/block_decode.h"

#include <cstring>

#include "format/dtype.h"

namespace galatea {
namespace {

template <class T>
T load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

float load_f16(const std::byte* in) { return f16_to_f32(load<std::uint16_t>(in)); }

/// One block of 4-bit (high_bits = 0 throughout) or 5-bit codes; `zero` is subtracted from the code.
inline void decode_nibbles(const std::byte* __restrict nibbles, std::uint32_t high_bits, int zero,
                           float scale, float* __restrict out) {
  for (unsigned j = 0; j < 16; ++j) {
    const auto byte = std::to_integer<unsigned>(nibbles[j]);
    const unsigned low = (byte & 15U) | (((high_bits >> j) & 1U) << 4U);
    const unsigned high = (byte >> 4U) | (((high_bits >> (j + 16U)) & 1U) << 4U);
    out[j] = static_cast<float>(static_cast<int>(low) - zero) * scale;
    out[j + 16] = static_cast<float>(static_cast<int>(high) - zero) * scale;
  }
}

inline void add_minimum(float* out, float minimum) {
  for (unsigned j = 0; j < legacy_block_length; ++j) out[j] += minimum;
}

}  // namespace

void decode_q4_0(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 18, out += legacy_block_length) {
    decode_nibbles(in + 2, 0, 8, load_f16(in), out);
  }
}

void decode_q4_1(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 20, out += legacy_block_length) {
    decode_nibbles(in + 4, 0, 0, load_f16(in), out);
    add_minimum(out, load_f16(in + 2));
  }
}

void decode_q5_0(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 22, out += legacy_block_length) {
    decode_nibbles(in + 6, load<std::uint32_t>(in + 2), 16, load_f16(in), out);
  }
}

void decode_q5_1(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 24, out += legacy_block_length) {
    decode_nibbles(in + 8, load<std::uint32_t>(in + 4), 0, load_f16(in), out);
    add_minimum(out, load_f16(in + 2));
  }
}

void decode_q8_0(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 34, out += legacy_block_length) {
    const float scale = load_f16(in);
    for (unsigned j = 0; j < legacy_block_length; ++j) {
      out[j] = static_cast<float>(load<std::int8_t>(in + 2 + j)) * scale;
    }
  }
}

}  // namespace galatea
