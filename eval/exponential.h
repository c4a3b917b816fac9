// e^x in float32 and float64 from additions and multiplications only, one by one: the same bits on every processor and with
// every C library, and a loop over it becomes vectors. Static: see matmul_kernel.h.
#pragma once

#include <cstdint>

namespace galatea::kernel {

/// Within 2e-7 of e^x, relative; 0 below -87, e^88 above 88, NaN of NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its series to r^7 (the rest is below 6e-9), 2^n by the exponent's bits.
static inline float exponential(float x) {
  constexpr float to_integer = 12582912.0F;  // 1.5 * 2^23: what is added to it loses its fraction
  const float bounded = x < -87.0F ? -87.0F : (x > 88.0F ? 88.0F : x);
  const float shifted = bounded * 1.44269504F + to_integer;
  const float n = shifted - to_integer;
  // ln 2 in two parts, the first with zeros at its end, so that n * first is exact.
  const float r = (bounded - n * 0.693359375F) + n * 2.12194440e-4F;
  float sum = 1.0F / 5040.0F;
  sum = sum * r + 1.0F / 720.0F;
  sum = sum * r + 1.0F / 120.0F;
  sum = sum * r + 1.0F / 24.0F;
  sum = sum * r + 1.0F / 6.0F;
  sum = sum * r + 0.5F;
  sum = sum * r + 1.0F;
  sum = sum * r + 1.0F;
  std::uint32_t bits;
  std::uint32_t exponent;
  __builtin_memcpy(&bits, &sum, 4);
  __builtin_memcpy(&exponent, &shifted, 4);
  bits += exponent << 23U;
  float power;
  __builtin_memcpy(&power, &bits, 4);
  const float known = x < -87.0F ? 0.0F : power;
  return x == x ? known : x;
}

/// The same in float64, within 4e-16 of e^x, relative; 0 below -708, e^709 above 709, NaN of NaN. The series goes to r^13.
static inline double exponential(double x) {
  constexpr double to_integer = 6755399441055744.0;  // 1.5 * 2^52
  const double bounded = x < -708.0 ? -708.0 : (x > 709.0 ? 709.0 : x);
  const double shifted = bounded * 1.4426950408889634 + to_integer;
  const double n = shifted - to_integer;
  // The first part of ln 2 ends in 21 zeros.
  const double r = (bounded - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  double sum = 1.0 / 6227020800.0;
  sum = sum * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  std::uint64_t bits;
  std::uint64_t exponent;
  __builtin_memcpy(&bits, &sum, 8);
  __builtin_memcpy(&exponent, &shifted, 8);
  bits += exponent << 52U;
  double power;
  __builtin_memcpy(&power, &bits, 8);
  const double known = x < -708.0 ? 0.0 : power;
  return x == x ? known : x;
}

}  // namespace galatea::kernel
