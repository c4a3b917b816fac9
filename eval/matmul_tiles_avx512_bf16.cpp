#include "eval/matmul_tiles_shares.h"

#if defined(GALATEA_X86)
#include <immintrin.h>

namespace galatea::kernel {
namespace {

void nothing() {}

/// A register holds the sums of one weight row and 16 tokens; so does it hold one pair of columns of 16 tokens.
/// Eight rows and two panels of tokens at once: 16 sums, 2 inputs, and the weights' pairs straight from memory.
constexpr std::uint64_t kRows = 8;

inline __m512bh pairs_of(const std::uint16_t* input) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(input));
}

inline __m512bh pair_for_all(const std::uint16_t* weight) {
  std::int32_t pair;
  __builtin_memcpy(&pair, weight, 4);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

inline void add_tile(const std::uint16_t* weight, const std::uint16_t* input, std::uint64_t input_stride,
                     __m512 (&sums)[kRows][2]) {
  for (std::uint64_t pair = 0; pair < kTileCols / 2; ++pair) {
    const __m512bh left = pairs_of(input + 2 * pair * kTileRows);
    const __m512bh right = pairs_of(input + input_stride + 2 * pair * kTileRows);
    for (std::uint64_t r = 0; r < kRows; ++r) {
      const __m512bh row = pair_for_all(weight + r * kTileCols + 2 * pair);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], row, left);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], row, right);
    }
  }
}

void block(const std::uint16_t* weights, std::uint64_t weight_stride, const std::uint16_t* inputs,
           std::uint64_t input_stride, std::uint64_t steps, std::uint64_t parts, bool rest, float* sums,
           std::uint64_t sums_stride, bool first) {
  for (std::uint64_t row = 0; row < 2 * kTileRows; row += kRows) {
    float* const sum = sums + row / kTileRows * sums_stride + row % kTileRows * kTileRows;
    __m512 here[kRows][2];
    for (std::uint64_t r = 0; r < kRows; ++r) {
      here[r][0] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sum + r * kTileRows);
      here[r][1] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sum + kTileSums + r * kTileRows);
    }
    for (std::uint64_t step = 0; step < steps; ++step) {
      const std::uint16_t* weight = weights + row / kTileRows * weight_stride + row % kTileRows * kTileCols +
                                    step * parts * kTileValues;
      const std::uint16_t* input = inputs + step * parts * kTileValues;
      if (parts == 2) add_tile(weight, input + kTileValues, input_stride, here);
      add_tile(weight, input, input_stride, here);
      if (rest) add_tile(weight + kTileValues, input, input_stride, here);
    }
    for (std::uint64_t r = 0; r < kRows; ++r) {
      _mm512_storeu_ps(sum + r * kTileRows, here[r][0]);
      _mm512_storeu_ps(sum + kTileSums + r * kTileRows, here[r][1]);
    }
  }
}

}  // namespace

const TileKernel tile_kernel_avx512_bf16 = {nothing, nothing, pack_weights, pack_inputs,
                                            block,   store,   pack_shares};

}  // namespace galatea::kernel
#endif
