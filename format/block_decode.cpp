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

/// Bits of `eight` as bytes of 0 or 16, the lowest first.
inline std::uint64_t fifth_bits(std::uint64_t eight) {
  eight = (eight | (eight << 28U)) & 0x0000000F0000000FU;
  eight = (eight | (eight << 14U)) & 0x0003000300030003U;
  eight = (eight | (eight << 7U)) & 0x0101010101010101U;
  return eight << 4U;
}

/// One block of codes; `zero` is subtracted from them.
inline void scale_codes(const std::uint8_t* __restrict codes, int zero, float scale, float* __restrict out) {
  for (unsigned j = 0; j < legacy_block_length; ++j) {
    out[j] = static_cast<float>(static_cast<int>(codes[j]) - zero) * scale;
  }
}

inline void take_nibbles(const std::byte* __restrict nibbles, std::uint8_t* __restrict codes) {
  for (unsigned j = 0; j < 16; ++j) {
    const auto byte = std::to_integer<std::uint8_t>(nibbles[j]);
    codes[j] = byte & 15U;
    codes[j + 16] = static_cast<std::uint8_t>(byte >> 4U);
  }
}

/// 4-bit codes.
inline void decode_nibbles(const std::byte* nibbles, int zero, float scale, float* out) {
  std::uint8_t codes[legacy_block_length];
  take_nibbles(nibbles, codes);
  scale_codes(codes, zero, scale, out);
}

/// 5-bit codes: four bytes of the highest bits, then the nibbles.
inline void decode_fives(const std::byte* in, int zero, float scale, float* out) {
  std::uint8_t codes[legacy_block_length];
  take_nibbles(in + 4, codes);
  for (unsigned group = 0; group < 4; ++group) {
    auto eight = load<std::uint64_t>(reinterpret_cast<const std::byte*>(codes) + 8 * group);
    eight |= fifth_bits(std::to_integer<std::uint64_t>(in[group]));
    std::memcpy(codes + 8 * group, &eight, sizeof eight);
  }
  scale_codes(codes, zero, scale, out);
}

inline void add_minimum(float* out, float minimum) {
  for (unsigned j = 0; j < legacy_block_length; ++j) out[j] += minimum;
}

}  // namespace

void decode_q4_0(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 18, out += legacy_block_length) {
    decode_nibbles(in + 2, 8, load_f16(in), out);
  }
}

void decode_q4_1(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 20, out += legacy_block_length) {
    decode_nibbles(in + 4, 0, load_f16(in), out);
    add_minimum(out, load_f16(in + 2));
  }
}

void decode_q5_0(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 22, out += legacy_block_length) {
    decode_fives(in + 2, 16, load_f16(in), out);
  }
}

void decode_q5_1(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += legacy_block_length, in += 24, out += legacy_block_length) {
    decode_fives(in + 4, 0, load_f16(in), out);
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
