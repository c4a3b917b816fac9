// The bodies of the block encoders, included by one source file for each instruction set. Loops run over the
// 32 lanes of a block without branches, so that the compiler makes vectors of them. What could depend on the
// order of lanes is computed so that it does not: maxima on integers, the first of equals by the lowest
// index.
//
// The including file defines GALATEA_LANES, the attributes of every function here. No include guard, on
// purpose.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "format/dtype.h"

namespace galatea {
namespace {

constexpr std::int32_t lanes = 32;

struct Codes {
  std::uint8_t code[lanes];
};

GALATEA_LANES std::int32_t bits_of(float value) { return std::bit_cast<std::int32_t>(value); }

/// The largest magnitude as its bits: non-negative floats compare like their bits.
GALATEA_LANES std::int32_t largest_magnitude(const float* x) {
  std::int32_t largest = 0;
  for (int j = 0; j < lanes; ++j) largest = std::max(largest, bits_of(x[j]) & 0x7FFFFFFF);
  return largest;
}

/// The first of the values whose magnitude is the largest; +0 when all are zeros of whatever sign.
GALATEA_LANES float first_largest(const float* x) {
  const std::int32_t largest = largest_magnitude(x);
  std::int32_t first = lanes - 1;
  for (std::int32_t j = 0; j < lanes; ++j) {
    const std::int32_t candidate = (bits_of(x[j]) & 0x7FFFFFFF) == largest ? j : lanes - 1;
    first = std::min(first, candidate);
  }
  return largest == 0 ? 0.0F : x[first];
}

struct Range {
  float min, max;
};

/// Its own inverse: bits of a float to an integer that compares like the float, -0 below 0.
GALATEA_LANES std::int32_t ordered(std::int32_t bits) { return bits ^ ((bits >> 31) & 0x7FFFFFFF); }

/// Smallest and largest; a zero has the sign of the first zero, as comparing front to back would leave it.
GALATEA_LANES Range range_of(const float* x) {
  std::int32_t low = INT32_MAX;
  std::int32_t high = INT32_MIN;
  for (int j = 0; j < lanes; ++j) {
    const std::int32_t key = ordered(bits_of(x[j]));
    low = std::min(low, key);
    high = std::max(high, key);
  }
  Range range{std::bit_cast<float>(ordered(low)), std::bit_cast<float>(ordered(high))};
  if (range.min == 0.0F) {
    range.min = *std::find(x, x + lanes, 0.0F);
    if (range.max == 0.0F) range.max = range.min;
  }
  return range;
}

struct Scale {
  float d, inverse;
  bool usable;  ///< else every code is 0
};

GALATEA_LANES Scale scale_of(float d) {
  const float inverse = d != 0.0F ? 1.0F / d : 0.0F;
  return {d, inverse, std::isfinite(d) && std::isfinite(inverse)};
}

GALATEA_LANES std::byte* put_f16(std::byte* out, float value) {
  const std::uint16_t bits = f32_to_f16(value);
  std::memcpy(out, &bits, sizeof bits);
  return out + sizeof bits;
}

GALATEA_LANES void clear(Codes& codes) { std::memset(codes.code, 0, sizeof codes.code); }

GALATEA_LANES void take_codes(const float* __restrict x, const Scale& scale, float half, std::int32_t highest,
                              Codes& __restrict codes) {
  if (!scale.usable) return clear(codes);
  const float inverse = scale.inverse;
  for (int j = 0; j < lanes; ++j) {
    const auto code = static_cast<std::int32_t>(x[j] * inverse + half);
    codes.code[j] = static_cast<std::uint8_t>(std::min(highest, code));
  }
}

GALATEA_LANES void take_codes_above(const float* __restrict x, float zero, const Scale& scale,
                                    std::int32_t highest, Codes& __restrict codes) {
  if (!scale.usable) return clear(codes);
  const float inverse = scale.inverse;
  for (int j = 0; j < lanes; ++j) {
    const auto code = static_cast<std::int32_t>((x[j] - zero) * inverse + 0.5F);
    codes.code[j] = static_cast<std::uint8_t>(std::min(highest, code));
  }
}

GALATEA_LANES std::byte* put_nibbles(std::byte* out, const Codes& codes) {
  for (int j = 0; j < lanes / 2; ++j) {
    out[j] = static_cast<std::byte>((codes.code[j] & 15U) | ((codes.code[j + lanes / 2] & 15U) << 4U));
  }
  return out + lanes / 2;
}

/// Bit 4 of each code, element 0 lowest.
GALATEA_LANES std::byte* put_high_bits(std::byte* out, const Codes& codes) {
  for (int group = 0; group < lanes / 8; ++group) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, codes.code + 8 * group, sizeof eight);
    // The multiplication gathers the lowest bits of eight bytes in the highest byte.
    const std::uint64_t bits = ((eight >> 4U) & 0x0101010101010101U) * 0x0102040810204080U;
    out[group] = static_cast<std::byte>(bits >> 56U);
  }
  return out + lanes / 8;
}

GALATEA_LANES void encode_q4_0(const float* __restrict in, std::byte* __restrict out,
                               std::uint64_t elements) {
  Codes codes;
  for (std::uint64_t i = 0; i < elements; i += lanes, in += lanes) {
    const Scale scale = scale_of(first_largest(in) / -8.0F);
    take_codes(in, scale, 8.5F, 15, codes);
    out = put_f16(out, scale.d);
    out = put_nibbles(out, codes);
  }
}

GALATEA_LANES void encode_q5_0(const float* __restrict in, std::byte* __restrict out,
                               std::uint64_t elements) {
  Codes codes;
  for (std::uint64_t i = 0; i < elements; i += lanes, in += lanes) {
    const Scale scale = scale_of(first_largest(in) / -16.0F);
    take_codes(in, scale, 16.5F, 31, codes);
    out = put_f16(out, scale.d);
    out = put_high_bits(out, codes);
    out = put_nibbles(out, codes);
  }
}

GALATEA_LANES void encode_q4_1(const float* __restrict in, std::byte* __restrict out,
                               std::uint64_t elements) {
  Codes codes;
  for (std::uint64_t i = 0; i < elements; i += lanes, in += lanes) {
    const Range range = range_of(in);
    const Scale scale = scale_of((range.max - range.min) / 15.0F);
    take_codes_above(in, range.min, scale, 15, codes);
    out = put_f16(out, scale.d);
    out = put_f16(out, range.min);
    out = put_nibbles(out, codes);
  }
}

GALATEA_LANES void encode_q5_1(const float* __restrict in, std::byte* __restrict out,
                               std::uint64_t elements) {
  Codes codes;
  for (std::uint64_t i = 0; i < elements; i += lanes, in += lanes) {
    const Range range = range_of(in);
    const Scale scale = scale_of((range.max - range.min) / 31.0F);
    take_codes_above(in, range.min, scale, 31, codes);
    out = put_f16(out, scale.d);
    out = put_f16(out, range.min);
    out = put_high_bits(out, codes);
    out = put_nibbles(out, codes);
  }
}

GALATEA_LANES void encode_q8_0(const float* __restrict in, std::byte* __restrict out,
                               std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; i += lanes, in += lanes) {
    const Scale scale = scale_of(std::bit_cast<float>(largest_magnitude(in)) / 127.0F);
    out = put_f16(out, scale.d);
    const float inverse = scale.usable ? scale.inverse : 0.0F;
    for (int j = 0; j < lanes; ++j) {
      const float value = in[j] * inverse;
      const auto whole = static_cast<std::int32_t>(value);
      const float rest = value - static_cast<float>(whole);  // exact
      const std::int32_t step = (rest >= 0.5F ? 1 : 0) - (rest <= -0.5F ? 1 : 0);
      out[j] = static_cast<std::byte>(whole + step);
    }
    out += lanes;
  }
}

}  // namespace
}  // namespace galatea
