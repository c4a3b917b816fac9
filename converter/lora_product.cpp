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
constexpr std::uint64_t tile_bytes =
    2048;  // of a row of `right`; eight of them, 16 KiB, stay in the first cache
constexpr std::uint64_t tile_rows = 64;  // 128 KiB of sums stay in the second
constexpr int steps = 8;

GALATEA_INLINE float multiply_add(float a, float b, float sum, bool /*fused*/) {
  return __builtin_fmaf(a, b, sum);
}
/// Where the processor has no fused multiply-add, the exact product and one sum are as good.
GALATEA_INLINE double multiply_add(double a, double b, double sum, bool fused) {
  return fused ? __builtin_fma(a, b, sum) : sum + a * b;
}

/// sums[j] = fma(left[k], right[k][j], sums[j]) for `steps` values of k in order: lanes over j, so each element's
/// chain stays in one lane. Several steps at a time only so that a sum stays in a register meanwhile; two rows, which
/// share what is loaded of `right`.
template <class T, bool fused>
GALATEA_INLINE void add_steps(const float* left0, const float* left1, const T* __restrict right,
                              std::uint64_t stride, T* __restrict sums0, T* __restrict sums1,
                              std::uint64_t cols) {
  for (std::uint64_t j = 0; j < cols; ++j) {
    T sum0 = sums0[j];
    T sum1 = sums1[j];
    for (int k = 0; k < steps; ++k) {
      const T value = right[j + static_cast<std::uint64_t>(k) * stride];
      sum0 = multiply_add(static_cast<T>(left0[k]), value, sum0, fused);
      sum1 = multiply_add(static_cast<T>(left1[k]), value, sum1, fused);
    }
    sums0[j] = sum0;
    sums1[j] = sum1;
  }
}

/// The same for one row and `count` steps.
template <class T, bool fused>
GALATEA_INLINE void add_row(const float* left, const T* __restrict right, std::uint64_t stride,
                            std::uint64_t count, T* __restrict sums, std::uint64_t cols) {
  for (std::uint64_t k = 0; k < count; ++k) {
    const T factor = static_cast<T>(left[k]);
    for (std::uint64_t j = 0; j < cols; ++j) {
      // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the packed rows are whole
      sums[j] = multiply_add(factor, right[j + k * stride], sums[j], fused);
    }
  }
}

/// The chain over k in [0, count) for several rows, a few steps for all rows before the next few.
template <class T, bool fused>
GALATEA_INLINE void add_chain(const float* left, std::uint64_t left_stride, const float* right,
                              std::uint64_t right_stride, std::uint64_t count, T* sums,
                              std::uint64_t sums_stride, std::uint64_t rows, std::uint64_t cols) {
  constexpr std::uint64_t width = tile_bytes / sizeof(T);
  // Rows of `right` often lie a multiple of 4 KiB apart, which in the first cache is one and the same place.
  alignas(64) T tile[steps * width];
  for (std::uint64_t k = 0; k < count; k += steps) {
    const std::uint64_t some = count - k < steps ? count - k : steps;
    for (std::uint64_t s = 0; s < some; ++s) {
      const float* const from = right + (k + s) * right_stride;
      T* const to = tile + s * width;
      for (std::uint64_t j = 0; j < cols; ++j) to[j] = static_cast<T>(from[j]);
    }
    std::uint64_t i = 0;
    for (; some == steps && i + 2 <= rows; i += 2) {
      const float* const from = left + i * left_stride + k;
      add_steps<T, fused>(from, from + left_stride, tile, width, sums + i * sums_stride,
                          sums + (i + 1) * sums_stride, cols);
    }
    for (; i < rows; ++i)
      add_row<T, fused>(left + i * left_stride + k, tile, width, some, sums + i * sums_stride, cols);
  }
}

template <class T, bool fused>
GALATEA_INLINE void product(const float* left, const float* right, T* out, std::uint64_t rows,
                            std::uint64_t rank, std::uint64_t cols, std::uint64_t chain) {
  constexpr std::uint64_t tile_cols = tile_bytes / sizeof(T);
  T piece[tile_cols];
  for (std::uint64_t i = 0; i < rows * cols; ++i) out[i] = 0;
  for (std::uint64_t first = 0; first < rows; first += tile_rows) {
    const std::uint64_t height = rows - first < tile_rows ? rows - first : tile_rows;
    for (std::uint64_t j = 0; j < cols; j += tile_cols) {
      const std::uint64_t width = cols - j < tile_cols ? cols - j : tile_cols;
      T* const sums = out + first * cols + j;
      add_chain<T, fused>(left + first * rank, rank, right + j, cols, rank < chain ? rank : chain, sums, cols,
                          height, width);
      for (std::uint64_t k = chain; k < rank; k += chain) {
        const std::uint64_t count = rank - k < chain ? rank - k : chain;
        for (std::uint64_t i = 0; i < height; ++i) {
          for (std::uint64_t c = 0; c < width; ++c) piece[c] = 0;
          add_chain<T, fused>(left + (first + i) * rank + k, rank, right + k * cols + j, cols, count, piece,
                              cols, 1, width);
          for (std::uint64_t c = 0; c < width; ++c) sums[i * cols + c] += piece[c];
        }
      }
    }
  }
}

template <class T>
using Product = void (*)(const float*, const float*, T*, std::uint64_t, std::uint64_t, std::uint64_t,
                         std::uint64_t);

template <class T>
void product_scalar(const float* left, const float* right, T* out, std::uint64_t rows, std::uint64_t rank,
                    std::uint64_t cols, std::uint64_t chain) {
  product<T, false>(left, right, out, rows, rank, cols, chain);
}

#if defined(__x86_64__)
#if defined(__clang__)
#define GALATEA_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,fma"
#else
#define GALATEA_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512"
#endif
template <class T>
__attribute__((target("avx2,fma"))) void product_avx2(const float* left, const float* right, T* out,
                                                      std::uint64_t rows, std::uint64_t rank,
                                                      std::uint64_t cols, std::uint64_t chain) {
  product<T, true>(left, right, out, rows, rank, cols, chain);
}

template <class T>
__attribute__((target(GALATEA_AVX512))) void product_avx512(const float* left, const float* right, T* out,
                                                            std::uint64_t rows, std::uint64_t rank,
                                                            std::uint64_t cols, std::uint64_t chain) {
  product<T, true>(left, right, out, rows, rank, cols, chain);
}
#endif

template <class T>
Product<T> product_of(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return product_avx512<T>;
  if (isa == Isa::avx2) return product_avx2<T>;
#endif
  (void)isa;
  return product_scalar<T>;
}

template <class T>
void checked_product(std::span<const float> left, std::span<const float> right, std::span<T> out,
                     std::uint64_t rank, std::uint64_t chain, Isa isa) {
  if (rank == 0 || left.size() % rank != 0 || right.size() % rank != 0 ||
      out.size() != (left.size() / rank) * (right.size() / rank)) {
    throw Error(ErrorKind::usage, "the matrices of a low-rank product do not fit together");
  }
  product_of<T>(isa)(left.data(), right.data(), out.data(), left.size() / rank, rank, right.size() / rank,
                     chain);
}

}  // namespace

std::uint64_t lora_chain_length(std::uint64_t rank) {
  if (rank <= max_chain) return std::max<std::uint64_t>(rank, 1);
  return rank < 2 * max_chain ? (rank + 1) / 2 : max_chain;
}

void lora_product(std::span<const float> left, std::span<const float> right, std::span<float> out,
                  std::uint64_t rank, Isa isa) {
  checked_product(left, right, out, rank, lora_chain_length(rank), isa);
}

void lora_product(std::span<const float> left, std::span<const float> right, std::span<double> out,
                  std::uint64_t rank, Isa isa) {
  checked_product(left, right, out, rank, rank, isa);
}

}  // namespace galatea
