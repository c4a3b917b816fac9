#include "format/float_convert.h"

#include <cpuid.h>
#include <immintrin.h>

#include <array>
#include <cstring>

#include "format/dtype.h"
#include "format/isa.h"

namespace galatea {
namespace {

constexpr std::uint32_t select(bool condition, std::uint32_t yes, std::uint32_t no) {
  return condition ? yes : no;
}

inline std::uint32_t f16_bits_to_f32_bits(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = half & 0x7C00U;
  const std::uint32_t mantissa = half & 0x03FFU;
  const std::uint32_t shifted = (half & 0x7FFFU) << 13U;
  const std::uint32_t normal = shifted + (112U << 23U);
  // An exponent of ones stays one of ones; a NaN becomes quiet.
  const std::uint32_t special = shifted | 0x7F800000U | select(mantissa != 0, 0x00400000U, 0U);
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(mantissa)) * 0x1p-24F);
  return sign | select(exponent == 0x7C00U, special, select(exponent == 0, subnormal, normal));
}

inline std::uint32_t f32_bits_to_f16_bits(std::uint32_t bits) {
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  // Adding just under half a unit in the last place, plus one when the kept part is odd, rounds to even.
  const std::uint32_t rounded = ((magnitude + 0xFFFU + ((magnitude >> 13U) & 1U)) >> 13U) - (112U << 10U);
  const std::uint32_t finite = select(magnitude >= 0x47800000U, 0x7C00U, rounded);
  // At 0.5 a float's unit in the last place is 2^-24, that of subnormal halves: the addition rounds.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  const std::uint32_t quiet_nan = 0x7E00U | ((magnitude >> 13U) & 0x3FFU);
  return sign |
         select(magnitude > 0x7F800000U, quiet_nan, select(magnitude < 0x38800000U, subnormal, finite));
}

inline std::uint32_t f32_bits_to_bf16_bits(std::uint32_t bits) {
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
  return select((bits & 0x7FFFFFFFU) > 0x7F800000U, (bits >> 16U) | 0x0040U, rounded);
}

inline std::uint32_t bf16_bits_to_f32_bits(std::uint32_t bits) {
  const std::uint32_t wide = bits << 16U;
  return wide | select((wide & 0x7FFFFFFFU) > 0x7F800000U, 0x00400000U, 0U);
}

/// A float64 rounded once to a type of `exponent_bits` and `mantissa_bits`, sign included. `overflow` is the
/// code of values too large, NaNs come out as `nan` with as much of their payload as `payload` lets through.
template <int exponent_bits, int mantissa_bits>
std::uint32_t narrow(double value, std::uint32_t overflow, std::uint32_t nan, std::uint32_t payload) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint32_t>(bits >> 63U) << (exponent_bits + mantissa_bits);
  const std::uint64_t magnitude = bits & 0x7FFFFFFFFFFFFFFFU;
  if (magnitude > 0x7FF0000000000000U) {
    return sign | nan | (static_cast<std::uint32_t>(magnitude >> (52 - mantissa_bits)) & payload);
  }
  constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>(magnitude >> 52U) - 1023;
  if (exponent > bias + 1) return sign | overflow;
  const int kept_exponent = exponent < 1 - bias ? 1 - bias : exponent;
  const int shift = 52 - mantissa_bits + (kept_exponent - exponent);
  if (shift > 53) return sign;  // less than half of the smallest subnormal; float64's own subnormals too
  const std::uint64_t significand = (magnitude & 0xFFFFFFFFFFFFFU) | (std::uint64_t{1} << 52U);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const std::uint64_t rest = significand & ((half << 1U) - 1);
  std::uint64_t kept = significand >> shift;
  if (rest > half || (rest == half && (kept & 1U) != 0)) ++kept;
  // `kept` carries the leading one of normal numbers, so the exponent field is one less; a carry out of the
  // mantissa moves into it by itself.
  const std::uint64_t code = (static_cast<std::uint64_t>(kept_exponent + bias - 1) << mantissa_bits) + kept;
  return sign | (code >= overflow ? overflow : static_cast<std::uint32_t>(code));
}

template <class T>
T load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

// The processor's own conversions (F16C, which every processor with AVX2 has) give the same bits, NaNs included.
// Both return how many elements they did, a multiple of 8.
__attribute__((target("avx2,f16c"))) std::uint64_t decode_f16_by_eights(const std::byte* in, float* out,
                                                                        std::uint64_t elements) {
  std::uint64_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
  }
  return i;
}

__attribute__((target("avx2,f16c"))) std::uint64_t encode_f16_by_eights(const float* in, std::byte* out,
                                                                        std::uint64_t elements) {
  std::uint64_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i), halves);
  }
  return i;
}

/// float32 rounded to odd: towards zero, and the last bit set where something was lost. Rounding that to 22 bits or
/// fewer gives what one rounding of the float64 gives.
inline __attribute__((always_inline)) void round_all_to_odd(const double* __restrict in,
                                                            float* __restrict out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    const double value = in[i];
    const auto nearest = static_cast<float>(value);
    const double back = static_cast<double>(nearest);
    const std::uint32_t larger = __builtin_fabs(back) > __builtin_fabs(value) ? 1U : 0U;
    const std::uint32_t inexact = (back < value ? 1U : 0U) | (back > value ? 1U : 0U);
    out[i] = std::bit_cast<float>((std::bit_cast<std::uint32_t>(nearest) - larger) | inexact);
  }
}

__attribute__((target("avx2"))) void round_to_odd_avx2(const double* in, float* out, std::uint64_t elements) {
  round_all_to_odd(in, out, elements);
}

void round_to_odd(const double* in, float* out, std::uint64_t elements) {
  if (active_isa() >= Isa::avx2) return round_to_odd_avx2(in, out, elements);
  round_all_to_odd(in, out, elements);
}

template <class Encode>
void encode_through_odd(const double* in, std::byte* out, std::uint64_t elements, const Encode& encode) {
  constexpr std::uint64_t step = 1024;
  std::array<float, step> odd;
  for (std::uint64_t first = 0; first < elements; first += step) {
    const std::uint64_t count = elements - first < step ? elements - first : step;
    round_to_odd(in + first, odd.data(), count);
    encode(odd.data(), out + 2 * first, count);
  }
}

bool has_f16c() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return active_isa() >= Isa::avx2 && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  }();
  return has;
}

}  // namespace

void decode_f16(const std::byte* __restrict in, float* __restrict out, std::uint64_t elements) {
  for (std::uint64_t i = has_f16c() ? decode_f16_by_eights(in, out, elements) : 0; i < elements; ++i) {
    out[i] = std::bit_cast<float>(f16_bits_to_f32_bits(load<std::uint16_t>(in + 2 * i)));
  }
}

void encode_f16(const float* __restrict in, std::byte* __restrict out, std::uint64_t elements) {
  for (std::uint64_t i = has_f16c() ? encode_f16_by_eights(in, out, elements) : 0; i < elements; ++i) {
    const auto half = static_cast<std::uint16_t>(f32_bits_to_f16_bits(std::bit_cast<std::uint32_t>(in[i])));
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
}

void decode_bf16(const std::byte* __restrict in, float* __restrict out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    out[i] = std::bit_cast<float>(bf16_bits_to_f32_bits(load<std::uint16_t>(in + 2 * i)));
  }
}

void encode_bf16(const float* __restrict in, std::byte* __restrict out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    const auto code = static_cast<std::uint16_t>(f32_bits_to_bf16_bits(std::bit_cast<std::uint32_t>(in[i])));
    std::memcpy(out + 2 * i, &code, sizeof code);
  }
}

void encode_f16_of_f64(const double* in, std::byte* out, std::uint64_t elements) {
  encode_through_odd(in, out, elements, encode_f16);
}

void encode_bf16_of_f64(const double* in, std::byte* out, std::uint64_t elements) {
  encode_through_odd(in, out, elements, encode_bf16);
}

float f16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(f16_bits_to_f32_bits(bits)); }

std::uint16_t f32_to_f16(float value) {
  return static_cast<std::uint16_t>(f32_bits_to_f16_bits(std::bit_cast<std::uint32_t>(value)));
}

std::uint16_t f64_to_f16(double value) {
  return static_cast<std::uint16_t>(narrow<5, 10>(value, 0x7C00U, 0x7E00U, 0x3FFU));
}

float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(bf16_bits_to_f32_bits(bits)); }

std::uint16_t f32_to_bf16(float value) {
  return static_cast<std::uint16_t>(f32_bits_to_bf16_bits(std::bit_cast<std::uint32_t>(value)));
}

std::uint16_t f64_to_bf16(double value) {
  return static_cast<std::uint16_t>(narrow<8, 7>(value, 0x7F80U, 0x7FC0U, 0x7FU));
}

float f8_e4m3_to_f32(std::uint8_t bits) {
  const std::uint32_t code = bits & 0x7FU;
  const std::uint32_t sign = (bits & 0x80U) << 24U;
  std::uint32_t magnitude = (code << 20U) + (120U << 23U);
  if (code == 0x7FU) magnitude = 0x7FC00000U;
  if (code < 8U) magnitude = std::bit_cast<std::uint32_t>(static_cast<float>(code) * 0x1p-9F);
  return std::bit_cast<float>(sign | magnitude);
}

std::uint8_t f64_to_f8_e4m3(double value) {
  return static_cast<std::uint8_t>(narrow<4, 3>(value, 0x7FU, 0x7FU, 0U));
}

std::uint8_t f32_to_f8_e4m3(float value) { return f64_to_f8_e4m3(static_cast<double>(value)); }

float f8_e5m2_to_f32(std::uint8_t bits) { return f16_to_f32(static_cast<std::uint16_t>(bits << 8U)); }

std::uint8_t f64_to_f8_e5m2(double value) {
  return static_cast<std::uint8_t>(narrow<5, 2>(value, 0x7CU, 0x7EU, 0x3U));
}

std::uint8_t f32_to_f8_e5m2(float value) { return f64_to_f8_e5m2(static_cast<double>(value)); }

double i64_to_f64_odd(std::int64_t value) {
  const bool negative = value < 0;
  std::uint64_t magnitude =
      negative ? 0U - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const int excess = 64 - std::countl_zero(magnitude | 1U) - 53;
  if (excess > 0) {
    const std::uint64_t low = (std::uint64_t{1} << excess) - 1;
    const bool inexact = (magnitude & low) != 0;
    magnitude &= ~low;
    if (inexact) magnitude |= low + 1;
  }
  const auto result = static_cast<double>(magnitude);  // exact by now
  return negative ? -result : result;
}

}  // namespace galatea
