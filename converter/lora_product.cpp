#include "converter/lora_product.h"

#include <algorithm>
#include <cmath>

#include "format/error.h"

namespace galatea {
namespace {

#if defined(__GNUC__)
#define GALATEA_INLINE inline __attribute__((always_inline))
#else
#define GALATEA_INLINE inline
#endif

constexpr std::uint64_t max_chain = 384;
constexpr std::uint64_t tile_cols =
    512;  // of float32: a row of the tile is 2 KiB and stays in the first cache

/// sums[j] = fma(left[k], right[k][j], sums[j]) for k = 0, 1, ..., count - 1: lanes over j, in each lane the
/// order of k. Eight steps at a time only so that sums stays in a register meanwhile.
GALATEA_INLINE void add_chain(const float* __restrict left, const float* __restrict right,
                              std::uint64_t stride, std::uint64_t count, float* __restrict sums,
                              std::uint64_t cols) {
  std::uint64_t k = 0;
  for (; k + 8 <= count; k += 8) {
    const float* const row = right + k * stride;
    const float f0 = left[k], f1 = left[k + 1], f2 = left[k + 2], f3 = left[k + 3];
    const float f4 = left[k + 4], f5 = left[k + 5], f6 = left[k + 6], f7 = left[k + 7];
    for (std::uint64_t j = 0; j < cols; ++j) {
      float sum = sums[j];
      sum = __builtin_fmaf(f0, row[j], sum);
      sum = __builtin_fmaf(f1, row[j + stride], sum);
      sum = __builtin_fmaf(f2, row[j + 2 * stride], sum);
      sum = __builtin_fmaf(f3, row[j + 3 * stride], sum);
      sum = __builtin_fmaf(f4, row[j + 4 * stride], sum);
      sum = __builtin_fmaf(f5, row[j + 5 * stride], sum);
      sum = __builtin_fmaf(f6, row[j + 6 * stride], sum);
      sums[j] = __builtin_fmaf(f7, row[j + 7 * stride], sum);
    }
  }
  for (; k < count; ++k) {
    const float* const row = right + k * stride;
    const float factor = left[k];
    for (std::uint64_t j = 0; j < cols; ++j) sums[j] = __builtin_fmaf(factor, row[j], sums[j]);
  }
}

GALATEA_INLINE void product(const float* left, const float* right, float* out, std::uint64_t rows,
                            std::uint64_t rank, std::uint64_t cols, std::uint64_t chain) {
  float piece[tile_cols];
  for (std::uint64_t j = 0; j < cols; j += tile_cols) {
    const std::uint64_t width = cols - j < tile_cols ? cols - j : tile_cols;
    for (std::uint64_t i = 0; i < rows; ++i) {
      float* const sums = out + i * cols + j;
      for (std::uint64_t c = 0; c < width; ++c) sums[c] = 0.0F;
      for (std::uint64_t k = 0; k < rank; k += chain) {
        const std::uint64_t count = rank - k < chain ? rank - k : chain;
        const float* const from = left + i * rank + k;
        if (k == 0) {
          add_chain(from, right + j, cols, count, sums, width);
          continue;
        }
        for (std::uint64_t c = 0; c < width; ++c) piece[c] = 0.0F;
        add_chain(from, right + k * cols + j, cols, count, piece, width);
        for (std::uint64_t c = 0; c < width; ++c) sums[c] += piece[c];
      }
    }
  }
}

using Product = void (*)(const float*, const float*, float*, std::uint64_t, std::uint64_t, std::uint64_t,
                         std::uint64_t);

void product_scalar(const float* left, const float* right, float* out, std::uint64_t rows, std::uint64_t rank,
                    std::uint64_t cols, std::uint64_t chain) {
  product(left, right, out, rows, rank, cols, chain);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void product_avx2(const float* left, const float* right, float* out,
                                                      std::uint64_t rows, std::uint64_t rank,
                                                      std::uint64_t cols, std::uint64_t chain) {
  product(left, right, out, rows, rank, cols, chain);
}

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512"))) void product_avx512(
    const float* left, const float* right, float* out, std::uint64_t rows, std::uint64_t rank,
    std::uint64_t cols, std::uint64_t chain) {
  product(left, right, out, rows, rank, cols, chain);
}
#endif

Product product_of(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return product_avx512;
  if (isa == Isa::avx2) return product_avx2;
#endif
  (void)isa;
  return product_scalar;
}

}  // namespace

std::uint64_t lora_chain_length(std::uint64_t rank) {
  if (rank <= max_chain) return std::max<std::uint64_t>(rank, 1);
  return rank < 2 * max_chain ? (rank + 1) / 2 : max_chain;
}

void lora_product(std::span<const float> left, std::span<const float> right, std::span<float> out,
                  std::uint64_t rank, Isa isa) {
  if (rank == 0 || left.size() % rank != 0 || right.size() % rank != 0 ||
      out.size() != (left.size() / rank) * (right.size() / rank)) {
    throw Error(ErrorKind::usage, "the matrices of a low-rank product do not fit together");
  }
  product_of(isa)(left.data(), right.data(), out.data(), left.size() / rank, rank, right.size() / rank,
                  lora_chain_length(rank));
}

}  // namespace galatea
