// Two runs of values laid side by side: how many differ, and by how much.
//
// Two values are equal when they have the same bits once both are float32 (or float64, see below): so a NaN
// equals the same NaN, and +0 and -0 differ, by 0. All sums are in float64 over eight lanes (value i goes to
// lane i mod 8) that are added in a fixed order: the numbers depend on the values alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "format/dtype.h"
#include "format/isa.h"

namespace galatea {

struct DiffSums {
  std::uint64_t values = 0;
  std::uint64_t differing = 0;
  std::uint64_t not_finite = 0;  ///< of the differing ones: one of the two is NaN or infinite
  std::uint64_t first = 0;       ///< index of the first differing value; only if there is one
  // Over the pairs whose values are both finite, a - b = d:
  std::uint64_t finite = 0;
  double max_abs = 0;                     ///< largest |d|
  double d2 = 0, a2 = 0, b2 = 0, ab = 0;  ///< sums of d*d, a*a, b*b, a*b

  /// Appends the sums of the values that follow.
  void add(const DiffSums& next);

  double rms() const;    ///< of d; 0 without finite pairs
  double rms_a() const;  ///< of a
  /// Of the angle between a and b; nothing when one of them has only zeros.
  std::optional<double> cosine() const;
};

/// `n` values each. The same numbers on every path.
DiffSums diff_values(const float* a, const float* b, std::uint64_t n, Isa isa = active_isa());
DiffSums diff_values(const double* a, const double* b, std::uint64_t n, Isa isa = active_isa());

/// True for types whose values float32 does not hold exactly (F64, I64, I32): they are compared as float64.
bool needs_double(DType type);
/// `n` stored values of any type as float64: exact but for I64 beyond 2^53, rounded to nearest.
void widen_to_double(DType type, const std::byte* in, double* out, std::uint64_t n);

}  // namespace galatea
