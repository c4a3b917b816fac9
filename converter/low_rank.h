// The best low-rank approximation of a matrix that is only ever seen row by row: a randomized truncated SVD.
//
//   1  Y = D * signs            signs: cols x k of +1 and -1 from a fixed sequence, k = rank + 16
//   2  Q = orthonormal(Y)       then twice: P = orthonormal(transposed(Q) * D), Q = orthonormal(D * P)
//   3  T = transposed(Q) * D    k x cols; SVD of T by one-sided Jacobi rotations: T = U S V
//   4  up = Q U sqrt(S), down = sqrt(S) V, the first `rank` singular values
//
// Two power iterations bring the error within about a hundredth of the best possible one where singular values
// fall slowly, and to it where they fall fast. Source: Halko, Martinsson and Tropp, "Finding structure with
// randomness", 2011, algorithms 4.4 and 5.1.
//
// Products with D are fused multiply-adds in float32 (lora_product.h), added up in float64 over pieces of 256;
// all else is float64. The order of every sum is fixed: same bits on any processor, with any number of threads.
// Memory: blocks of D of 8 MiB, and 24 * k * (rows + cols) bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "format/progress.h"
#include "format/rows.h"

namespace galatea {

/// up * down approximates the matrix; both factors carry the square root of each singular value.
struct LowRank {
  std::uint64_t rank = 0;
  std::vector<float> up{};         ///< rows x rank
  std::vector<float> down{};       ///< rank x cols
  std::vector<double> singular{};  ///< the first `rank` singular values, the largest first
};

/// `rank` from 1 to the smaller extent of `matrix`, which is read six times. Throws Error(usage) for another rank, Error(input) for values that are not finite, interrupted().
LowRank low_rank(const Rows& matrix, std::uint64_t rank, const Progress& progress = silent_progress());

/// Frobenius norms of the matrix and of what up * down misses of it.
struct LowRankError {
  double norm = 0;
  double missed = 0;

  double relative() const { return norm > 0 ? missed / norm : 0; }
};

/// Of factors as they are (also rounded to a half): up is rows x rank, down rank x cols.
LowRankError low_rank_error(const Rows& matrix, const std::vector<float>& up, const std::vector<float>& down,
                            std::uint64_t rank);

/// after - before in float32. Throws Error(usage) when the extents differ.
RowsPtr difference_rows(RowsPtr after, RowsPtr before);

/// A row-major matrix with rows and columns changed over.
std::vector<float> transposed(const std::vector<float>& values, std::uint64_t rows, std::uint64_t cols);

}  // namespace galatea
