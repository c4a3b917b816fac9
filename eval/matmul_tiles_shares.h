// Softmax between the two products of attention, for matmul_tiles_<isa>.cpp. Static: see matmul_kernel.h.
#pragma once

#include "eval/exponential.h"
#include "eval/matmul_tiles_pack.h"

namespace galatea::kernel {

/// One lane a query: every sum is over the keys in ascending order, whatever the instructions.
static void pack_shares(float* scores, std::uint64_t tile_stride, std::uint64_t steps, const SeenKeys& seen,
                        float scale, std::uint64_t parts, std::uint16_t* panel, float* totals) {
  const std::uint64_t keys = steps * kTileCols;
  float largest[kTileRows];
  float total[kTileRows];
  for (std::uint64_t q = 0; q < kTileRows; ++q) {
    largest[q] = -__builtin_inff();
    total[q] = 0.0F;
  }
  for (std::uint64_t k = 0; k < keys; ++k) {
    float* const row = scores + k / kTileRows * tile_stride + k % kTileRows * kTileRows;
    const auto key = static_cast<std::int32_t>(k);
    for (std::uint64_t q = 0; q < kTileRows; ++q) {
      const bool counts = (key >= seen.first[q]) & (key < seen.end[q]);
      const float score = counts ? row[q] * scale : -__builtin_inff();
      row[q] = score;
      largest[q] = score > largest[q] ? score : largest[q];
    }
  }
  for (std::uint64_t k = 0; k < keys; k += 2) {
    const float* const row = scores + k / kTileRows * tile_stride + k % kTileRows * kTileRows;
    std::uint16_t* const pairs =
        panel + k / kTileCols * parts * kTileValues + k % kTileCols / 2 * 2 * kTileRows;
    std::uint32_t first[kTileRows];
    std::uint32_t second[kTileRows];
    for (std::uint64_t q = 0; q < kTileRows; ++q) {
      const float even = exponential(row[q] - largest[q]);
      const float odd = exponential(row[kTileRows + q] - largest[q]);
      total[q] = (total[q] + even) + odd;
      const std::uint32_t even_first = rounded(even);
      const std::uint32_t odd_first = rounded(odd);
      first[q] = even_first | odd_first << 16U;
      second[q] = rounded(even - widened(even_first)) | rounded(odd - widened(odd_first)) << 16U;
    }
    __builtin_memcpy(pairs, first, sizeof first);
    if (parts > 1) __builtin_memcpy(pairs + kTileValues, second, sizeof second);
  }
  for (std::uint64_t q = 0; q < kTileRows; ++q) totals[q] = total[q];
}

}  // namespace galatea::kernel
