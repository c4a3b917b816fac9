#include "eval/matmul_amx_kernel.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512F__)
#include <immintrin.h>

namespace galatea::kernel {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Not on the stack: GCC 12's _tile_loadconfig does not say that it reads more than eight bytes of it.
const TileConfig tile_config;

constexpr long kTileStride = 64;  // bytes from row to row of a tile

/// The upper half of the float32 nearest to `value` that has no lower half; ties to even. Infinity and NaN stay.
inline std::uint32_t rounded(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const std::uint32_t up = bits + 0x7FFFU + ((bits >> 16U) & 1U);
  const bool special = (bits & 0x7F800000U) == 0x7F800000U;
  return special ? ((bits & 0x007FFFFFU) != 0 ? bits | 0x00400000U : bits) >> 16U : up >> 16U;
}

inline float widened(std::uint32_t half) {
  const std::uint32_t bits = half << 16U;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

/// Thirty-two columns of one row as first and second parts; what lies beyond `count` is zero.
inline void split(const float* from, std::uint64_t count, std::uint16_t* first, std::uint16_t* second) {
  float values[kTileCols];
  for (std::uint64_t i = 0; i < kTileCols; ++i) values[i] = i < count ? from[i] : 0.0F;
  for (std::uint64_t i = 0; i < kTileCols; ++i) first[i] = static_cast<std::uint16_t>(rounded(values[i]));
  for (std::uint64_t i = 0; i < kTileCols; ++i) {
    second[i] = static_cast<std::uint16_t>(rounded(values[i] - widened(first[i])));
  }
}

/// A pair of columns is one word of 32 bits; the words of 16 tokens change places with the 16 pairs.
inline void put_pairs(const std::uint16_t (*tokens)[kTileCols], std::uint16_t* tile) {
  for (std::uint64_t pair = 0; pair < kTileRows; ++pair) {
    for (std::uint64_t t = 0; t < kTileRows; ++t) {
      __builtin_memcpy(tile + 2 * (pair * kTileRows + t), &tokens[t][2 * pair], 4);
    }
  }
}

inline std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

// The tiles: 0 to 3 sums, 4 and 5 weights, 6 and 7 inputs.
inline void load_weights(const std::uint16_t* tile, std::uint64_t stride) {
  _tile_loadd(4, tile, kTileStride);
  _tile_loadd(5, tile + stride, kTileStride);
}

inline void load_inputs(const std::uint16_t* tile, std::uint64_t stride) {
  _tile_loadd(6, tile, kTileStride);
  _tile_loadd(7, tile + stride, kTileStride);
}

inline void add_products() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

}  // namespace

void amx_begin() { _tile_loadconfig(&tile_config); }

void amx_end() { _tile_release(); }

void amx_pack_weights(const float* rows, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
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

void amx_pack_inputs(const float* tokens, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
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

void amx_block(const std::uint16_t* weights, std::uint64_t weight_stride, const std::uint16_t* inputs,
               std::uint64_t input_stride, std::uint64_t steps, std::uint64_t parts, float* sums,
               std::uint64_t sums_stride, bool first) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, kTileStride);
    _tile_loadd(1, sums + kTileSums, kTileStride);
    _tile_loadd(2, sums + sums_stride, kTileStride);
    _tile_loadd(3, sums + sums_stride + kTileSums, kTileStride);
  }
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::uint16_t* weight = weights + step * parts * kTileValues;
    const std::uint16_t* input = inputs + step * parts * kTileValues;
    load_weights(weight, weight_stride);
    load_inputs(input, input_stride);
    add_products();
    if (parts == 1) continue;
    load_inputs(input + kTileValues, input_stride);
    add_products();
    load_weights(weight + kTileValues, weight_stride);
    load_inputs(input, input_stride);
    add_products();
  }
  _tile_stored(0, sums, kTileStride);
  _tile_stored(1, sums + kTileSums, kTileStride);
  _tile_stored(2, sums + sums_stride, kTileStride);
  _tile_stored(3, sums + sums_stride + kTileSums, kTileStride);
}

}  // namespace galatea::kernel
#endif
