// Packing for matmul_tiles_<isa>.cpp. Static: each file keeps its own, compiled for its own instructions.
#pragma once

#include "eval/matmul_tiles_kernel.h"
#include "eval/matmul_tiles_transpose.h"

namespace galatea::kernel {

/// The upper half of the float32 nearest to `value` that has no lower half; ties to even. Infinity and NaN stay.
static inline std::uint32_t rounded(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const std::uint32_t up = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  const bool special = (bits & 0x7F800000U) == 0x7F800000U;
  return special ? ((bits & 0x007FFFFFU) != 0 ? bits | 0x00400000U : bits) >> 16U : up >> 16U;
}

static inline float widened(std::uint32_t half) {
  const std::uint32_t bits = half << 16U;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

/// Thirty-two columns of one row as first and second parts; what lies beyond `count` is zero.
static inline void split(const float* from, std::uint64_t count, std::uint16_t* first,
                         std::uint16_t* second) {
  float values[kTileCols];
  for (std::uint64_t i = 0; i < kTileCols; ++i) values[i] = i < count ? from[i] : 0.0F;
  for (std::uint64_t i = 0; i < kTileCols; ++i) first[i] = static_cast<std::uint16_t>(rounded(values[i]));
  for (std::uint64_t i = 0; i < kTileCols; ++i) {
    second[i] = static_cast<std::uint16_t>(rounded(values[i] - widened(first[i])));
  }
}

static inline std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

static bool pack_weights(const float* rows, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                         std::uint64_t parts, std::uint16_t* panel) {
  std::uint16_t seconds[kTileCols] = {};
  for (std::uint64_t c = 0; c < cols; c += kTileCols, panel += parts * kTileValues) {
    for (std::uint64_t r = 0; r < kTileRows; ++r) {
      std::uint16_t first[kTileCols];
      std::uint16_t second[kTileCols];
      split(r < count ? rows + r * stride + c : rows, r < count ? least(cols - c, kTileCols) : 0, first,
            second);
      __builtin_memcpy(panel + r * kTileCols, first, sizeof first);
      if (parts == 1) continue;
      __builtin_memcpy(panel + kTileValues + r * kTileCols, second, sizeof second);
      for (std::uint64_t i = 0; i < kTileCols; ++i)
        seconds[i] = static_cast<std::uint16_t>(seconds[i] | second[i]);
    }
  }
  std::uint16_t any = 0;
  for (const std::uint16_t second : seconds) any = static_cast<std::uint16_t>(any | second);
  return any != 0;
}

static void pack_inputs(const float* tokens, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                        std::uint64_t parts, std::uint16_t* panel) {
  for (std::uint64_t c = 0; c < cols; c += kTileCols, panel += parts * kTileValues) {
    // A pair of columns is one word of 32 bits; the words of 16 tokens change places with the 16 pairs.
    alignas(4) std::uint16_t first[kTileRows][kTileCols];
    alignas(4) std::uint16_t second[kTileRows][kTileCols];
    for (std::uint64_t t = 0; t < kTileRows; ++t) {
      split(t < count ? tokens + t * stride + c : tokens, t < count ? least(cols - c, kTileCols) : 0,
            first[t], second[t]);
    }
    transpose16(first[0], kTileRows, panel, kTileRows);
    if (parts > 1) transpose16(second[0], kTileRows, panel + kTileValues, kTileRows);
  }
}

static void store(const float* sums, std::uint64_t sums_stride, std::uint64_t rows, std::uint64_t tokens,
                  float* out, std::uint64_t out_stride) {
  for (std::uint64_t t = 0; t < tokens; t += kTileRows) {
    for (std::uint64_t r = 0; r < rows; r += kTileRows) {
      const float* const tile = sums + r / kTileRows * sums_stride + t / kTileRows * kTileSums;
      float* const to = out + t * out_stride + r;
      if (tokens - t >= kTileRows && rows - r >= kTileRows) {
        transpose16(tile, kTileRows, to, out_stride);
        continue;
      }
      float turned[kTileSums];
      transpose16(tile, kTileRows, turned, kTileRows);
      for (std::uint64_t i = 0; i < least(tokens - t, kTileRows); ++i)
        __builtin_memcpy(to + i * out_stride, turned + i * kTileRows,
                         least(rows - r, kTileRows) * sizeof(float));
    }
  }
}

}  // namespace galatea::kernel
