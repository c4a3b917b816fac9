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
constexpr std::uint64_t tile_cols = 512;  // eight rows of `right` in a tile, 16 KiB, stay in the first cache
constexpr std::uint64_t tile_rows = 64;   // 128 KiB of sums stay in the second

/// sums[j] = fma(left[k], right[k][j], sums[j]) for K values of k in order: lanes over j, so each element's
/// chain stays in one lane. K steps at a time only so that a sum stays in a register meanwhile.
template <int K>
GALATEA_INLINE void add_steps(const float* left, const float* __restrict right, std::uint64_t stride,
                              float* __restrict sums, std::uint64_t cols) {
  for (std::uint64_t j = 0; j < cols; ++j) {
    float sum = sums[j];
    for (int k = 0; k < K; ++k)
      sum = __builtin_fmaf(left[k], right[j + static_cast<std::uint64_t>(k) * stride], sum);
    sums[j] = sum;
  }
}

/// The same for two rows of sums, which share what is loaded of `right`.
template <int K>
GALATEA_INLINE void add_steps(const float* left0, const float* left1, const float* __restrict right,
                              std::uint64_t stride, float* __restrict sums0, float* __restrict sums1,
                              std::uint64_t cols) {
  for (std::uint64_t j = 0; j < cols; ++j) {
    float sum0 = sums0[j];
    float sum1 = sums1[j];
    for (int k = 0; k < K; ++k) {
      const float value = right[j + static_cast<std::uint64_t>(k) * stride];
      sum0 = __builtin_fmaf(left0[k], value, sum0);
      sum1 = __builtin_fmaf(left1[k], value, sum1);
    }
    sums0[j] = sum0;
    sums1[j] = sum1;
  }
}

/// The chain over k in [0, count) for several rows, a few steps for all rows before the next few.
GALATEA_INLINE void add_chain(const float* left, std::uint64_t left_stride, const float* right,
                              std::uint64_t right_stride, std::uint64_t count, float* sums,
                              std::uint64_t sums_stride, std::uint64_t rows, std::uint64_t cols) {
  std::uint64_t k = 0;
  for (; k + 8 <= count; k += 8) {
    std::uint64_t i = 0;
    for (; i + 2 <= rows; i += 2) {
      const float* const from = left + i * left_stride + k;
      add_steps<8>(from, from + left_stride, right + k * right_stride, right_stride, sums + i * sums_stride,
                   sums + (i + 1) * sums_stride, cols);
    }
    if (i < rows)
      add_steps<8>(left + i * left_stride + k, right + k * right_stride, right_stride, sums + i * sums_stride,
                   cols);
  }
  for (; k < count; ++k) {
    for (std::uint64_t i = 0; i < rows; ++i)
      add_steps<1>(left + i * left_stride + k, right + k * right_stride, right_stride, sums + i * sums_stride,
                   cols);
  }
}

GALATEA_INLINE void product(const float* left, const float* right, float* out, std::uint64_t rows,
                            std::uint64_t rank, std::uint64_t cols, std::uint64_t chain) {
  float piece[tile_cols];
  for (std::uint64_t i = 0; i < rows * cols; ++i) out[i] = 0.0F;
  for (std::uint64_t first = 0; first < rows; first += tile_rows) {
    const std::uint64_t height = rows - first < tile_rows ? rows - first : tile_rows;
    for (std::uint64_t j = 0; j < cols; j += tile_cols) {
      const std::uint64_t width = cols - j < tile_cols ? cols - j : tile_cols;
      float* const sums = out + first * cols + j;
      add_chain(left + first * rank, rank, right + j, cols, rank < chain ? rank : chain, sums, cols, height,
                width);
      for (std::uint64_t k = chain; k < rank; k += chain) {
        const std::uint64_t count = rank - k < chain ? rank - k : chain;
        for (std::uint64_t i = 0; i < height; ++i) {
          for (std::uint64_t c = 0; c < width; ++c) piece[c] = 0.0F;
          add_chain(left + (first + i) * rank + k, rank, right + k * cols + j, cols, count, piece, cols, 1,
                    width);
          for (std::uint64_t c = 0; c < width; ++c) sums[i * cols + c] += piece[c];
        }
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
#if defined(__clang__)
#define GALATEA_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,fma"
#else
#define GALATEA_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512"
#endif
__attribute__((target("avx2,fma"))) void product_avx2(const float* left, const float* right, float* out,
                                                      std::uint64_t rows, std::uint64_t rank,
                                                      std::uint64_t cols, std::uint64_t chain) {
  product(left, right, out, rows, rank, cols, chain);
}

__attribute__((target(GALATEA_AVX512))) void product_avx512(const float* left, const float* right, float* out,
                                                            std::uint64_t rows, std::uint64_t rank,
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
