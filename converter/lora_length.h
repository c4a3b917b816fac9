// Lengths of vectors as torch computes them in float32 on a processor: what DoRA divides by.
#pragma once

#include <span>

namespace galatea {

/// sqrt of the sum of squares of a contiguous row, to the bit as torch.linalg.norm(x, dim=1): eight sums, element i in
/// sum i mod 8 by fused multiply-adds, the eight added in order, then the elements that are left over.
float torch_length(std::span<const float> values);

/// squares[c] += values[r][c]^2 for every row in order, by fused multiply-adds: what torch.linalg.norm does along
/// the rows of a matrix that it sees transposed.
void add_squares(std::span<const float> values, std::span<float> squares);
void add_squares(std::span<const double> values, std::span<double> squares);

}  // namespace galatea
