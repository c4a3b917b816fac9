#include "eval/matmul_tiles_shares.h"

#if defined(GALATEA_X86)
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

void begin() { _tile_loadconfig(&tile_config); }

void end() { _tile_release(); }

void block(const std::uint16_t* weights, std::uint64_t weight_stride, const std::uint16_t* inputs,
           std::uint64_t input_stride, std::uint64_t steps, std::uint64_t parts, bool rest, float* sums,
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
    if (parts == 2) {
      load_inputs(input + kTileValues, input_stride);
      add_products();
    }
    load_inputs(input, input_stride);
    add_products();
    if (!rest) continue;
    load_weights(weight + kTileValues, weight_stride);
    add_products();
  }
  _tile_stored(0, sums, kTileStride);
  _tile_stored(1, sums + kTileSums, kTileStride);
  _tile_stored(2, sums + sums_stride, kTileStride);
  _tile_stored(3, sums + sums_stride + kTileSums, kTileStride);
}

}  // namespace

const TileKernel tile_kernel_amx = {begin, end, pack_weights, pack_inputs, block, store, pack_shares};

}  // namespace galatea::kernel
#endif
