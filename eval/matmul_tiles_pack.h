// Packing for matmul_tiles_<isa>.cpp. Static: each file keeps its own, compiled for its own instructions.
#pragma once

#include "eval/matmul_tiles_kernel.h"

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

/// A pair of columns is one word of 32 bits; the words of 16 tokens change places with the 16 pairs.
static inline void put_pairs(const std::uint16_t (*tokens)[kTileCols], std::uint16_t* tile) {
  for (std::uint64_t pair = 0; pair < kTileRows; ++pair) {
    for (std::uint64_t t = 0; t < kTileRows; ++t) {
      __builtin_memcpy(tile + 2 * (pair * kTileRows + t), &tokens[t][2 * pair], 4);
    }
  }
}

static inline std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

static void pack_weights(const float* rows, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                         std::uint64_t parts, std::uint16_t* panel) {
  for (std::uint64_t c = 0; c < cols; c += kTileCols, panel += parts * kTileValues) {
    for (std::uint64_t r = 0; r < kTileRows; ++r) {
      std::uint16_t first[kTileCols];
      std::uint16_t second[kTileCols];
      split(r < count ? rows + r * stride + c : rows, r < count ? least(cols - c, kTileCols) : 0, first,
            second);
      __builtin_memcpy(panel + r * kTileCols, first, sizeof first);
      if (parts > 1) __builtin_memcpy(panel + kTileValues + r * kTileCols, second, sizeof second);
    }
  }
}

static void pack_inputs(const float* tokens, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                        std::uint64_t parts, std::uint16_t* panel) {
  for (std::uint64_t c = 0; c < cols; c += kTileCols, panel += parts * kTileValues) {
    std::uint16_t first[kTileRows][kTileCols];
    std::uint16_t second[kTileRows][kTileCols];
    for (std::uint64_t t = 0; t < kTileRows; ++t) {
      split(t < count ? tokens + t * stride + c : tokens, t < count ? least(cols - c, kTileCols) : 0,
            first[t], second[t]);
    }
    put_pairs(first, panel);
    if (parts > 1) put_pairs(second, panel + kTileValues);
  }
}

}  // namespace galatea::kernel
