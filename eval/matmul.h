// The one matrix product of the forward pass.
//
// out[t][r] = sum over c of in[t][c] * weight[r][c], float32. Sixteen partial sums, lane l adding the columns
// c = l, l+16, l+32 ... in order with fused multiply-add, then ((l, l+8), (l, l+4), (l, l+2), (l, l+1))
// added: the same bits for any number of threads, any tile size and on every instruction set.
//
// Weights come as Rows and are decoded tile by tile, so every stored type costs the same and no matrix is
// ever held in float32 as a whole.
#pragma once

#include <cstdint>

#include "format/isa.h"
#include "format/rows.h"

namespace galatea {

/// `in` is tokens x weight.cols(), `out` tokens x weight.rows(), both row-major. Runs on `threads` OpenMP
/// threads. Throws what reading the weight throws.
void matmul(const Rows& weight, const float* in, std::uint64_t tokens, float* out, int threads, Isa isa);

/// out[r] = the product of `in` [cols] with row r of `rows` x cols values in memory, in the same fixed order.
void dot_rows(const float* in, const float* values, std::uint64_t rows, std::uint64_t cols, float* out,
              Isa isa);

}  // namespace galatea
