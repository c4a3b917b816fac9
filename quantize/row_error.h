// Passes over rows of float32: what of them is too large, how far they are from others. Compiled for several
// instruction sets, of which active_isa() chooses; the results are the same on each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace galatea {

/// How far a row is from its source; single precision is plenty for a report, and a model has millions of rows.
struct RowError {
  float squared_error = 0;  ///< sum of (decoded - source)^2
  float squared_value = 0;  ///< sum of source^2
  float gain = 0;           ///< sum of decoded^2 - source^2
  float largest = 0;        ///< of |decoded - source|
  /// Where a better search ran: sums of weight * (decoded - source)^2 before it and after it.
  float before_search = 0, after_search = 0;
};

/// Of `cols` values each, all finite.
RowError error_of_row(const float* source, const float* decoded, std::size_t cols);

/// Sum of weight * (decoded - source)^2; weights are all 1 where `weights` is null.
float weighted_error_of_row(const float* source, const float* decoded, const float* weights,
                            std::size_t cols);

/// The bits of the largest magnitude, which order magnitudes: from 0x7F800000 on one is not finite.
std::uint32_t largest_magnitude_bits(std::span<const float> values);

}  // namespace galatea
