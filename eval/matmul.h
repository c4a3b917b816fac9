// The one matrix product of the forward pass.
//
// out[t][r] = sum over c of in[t][c] * weight[r][c], float32. Sixteen partial sums, lane l adding the columns
// c = l, l+16, l+32 ... in order with fused multiply-add, then ((l, l+8), (l, l+4), (l, l+2), (l, l+1))
// added: the same bits for any number of threads, any tile size and on every instruction set. Faster sums
// of less precision are had where they are asked for (Precision).
//
// Weights come as Rows and are decoded tile by tile, so every stored type costs the same and no matrix is
// ever held in float32 as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "eval/aligned.h"
#include "eval/matmul_kernel.h"
#include "format/isa.h"
#include "format/rows.h"

namespace galatea {

/// What the products are made of. AMX tiles have all three, AVX-512 BF16 has f32 and fast; elsewhere all are f32.
///
///   f32     float32, in the order above
///   exact   each value as the sum of two bfloat16 numbers; the three products that count are summed in
///           float32: within about 1e-5 of f32, relative to the largest terms
///   fast    values rounded to bfloat16, sums as in exact
enum class Precision { f32, exact, fast };

std::string_view to_string(Precision precision);
/// What `precision` comes to on `isa`.
Precision precision_on(Isa isa, Precision precision);

/// A product with `weight`: `out` is tokens x weight.rows(), row-major.
struct ProductOf {
  const Rows* weight;
  float* out;
};

/// Memory that products use one after the other; it grows as they ask for it.
struct MatmulMemory {
  kernel::Aligned<std::uint16_t> inputs;  ///< packed
  kernel::Aligned<std::byte> spaces;      ///< of the threads, one after the other
};

/// Products of the same input with several weights of as many columns: `in` is tokens x cols, row-major. Runs on `threads`
/// OpenMP threads. Gives the seconds that decoding took, a thread's share of them. Throws what reading a weight throws.
double matmul(std::span<const ProductOf> products, const float* in, std::uint64_t tokens, int threads,
              Isa isa, Precision precision, MatmulMemory& memory);
/// With one weight, and memory for this once.
double matmul(const Rows& weight, const float* in, std::uint64_t tokens, float* out, int threads, Isa isa,
              Precision precision = Precision::f32);

/// Bytes that matmul() takes at most besides `out`, for a weight of `cols` columns.
std::uint64_t matmul_bytes(std::uint64_t cols, std::uint64_t tokens, std::uint64_t threads);

/// A product of matrices in memory, in the same fixed order, on the calling thread.
void multiply(const kernel::Operands& operands, Isa isa);

}  // namespace galatea
