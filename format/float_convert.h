// Conversions between floating-point types on whole runs, and the pieces they are made of.
//
//   type       sign exponent mantissa   bias   largest   smallest subnormal   infinity
//   F64           1       11       52   1023
//   F32           1        8       23    127
//   BF16          1        8        7    127
//   F16           1        5       10     15     65504   2^-24                 yes
//   F8_E5M2       1        5        2     15     57344   2^-16                 yes
//   F8_E4M3       1        4        3      7       448   2^-9                  no ("fn": S.1111.111 is NaN)
//
// The run versions are written without branches over plain lanes, so that the compiler makes vectors of them;
// they give the same bits as the single values of dtype.h.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace galatea {

/// `elements` values each; `in` and `out` do not overlap and need no alignment.
void decode_f16(const std::byte* in, float* out, std::uint64_t elements);
void encode_f16(const float* in, std::byte* out, std::uint64_t elements);
void decode_bf16(const std::byte* in, float* out, std::uint64_t elements);
void encode_bf16(const float* in, std::byte* out, std::uint64_t elements);

/// As f64_to_f16() and f64_to_bf16().
void encode_f16_of_f64(const double* in, std::byte* out, std::uint64_t elements);
void encode_bf16_of_f64(const double* in, std::byte* out, std::uint64_t elements);

std::uint8_t f64_to_f8_e4m3(double value);
std::uint8_t f64_to_f8_e5m2(double value);

/// `value` as float64, rounded to odd: a further rounding to a type of at most 51 mantissa bits then gives
/// what one rounding of the integer itself would have given.
double i64_to_f64_odd(std::int64_t value);

}  // namespace galatea
