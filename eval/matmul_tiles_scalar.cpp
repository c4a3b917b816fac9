#include "eval/matmul_tiles_shares.h"

namespace galatea::kernel {
namespace {

void nothing() {}

void add_tile(const std::uint16_t* weight, const std::uint16_t* input, float* sums) {
  for (std::uint64_t r = 0; r < kTileRows; ++r) {
    for (std::uint64_t t = 0; t < kTileRows; ++t) {
      float even = 0.0F;
      float odd = 0.0F;
      for (std::uint64_t pair = 0; pair < kTileCols / 2; ++pair) {
        const std::uint16_t* a = weight + r * kTileCols + 2 * pair;
        const std::uint16_t* b = input + 2 * (pair * kTileRows + t);
        even = __builtin_fmaf(widened(a[0]), widened(b[0]), even);
        odd = __builtin_fmaf(widened(a[1]), widened(b[1]), odd);
      }
      sums[r * kTileRows + t] += even + odd;
    }
  }
}

void block(const std::uint16_t* weights, std::uint64_t weight_stride, const std::uint16_t* inputs,
           std::uint64_t input_stride, std::uint64_t steps, std::uint64_t parts, bool rest, float* sums,
           std::uint64_t sums_stride, bool first) {
  for (std::uint64_t w = 0; w < 2; ++w) {
    for (std::uint64_t t = 0; t < 2; ++t) {
      float* const sum = sums + w * sums_stride + t * kTileSums;
      for (std::uint64_t i = 0; first && i < kTileSums; ++i) sum[i] = 0.0F;
      for (std::uint64_t step = 0; step < steps; ++step) {
        const std::uint16_t* weight = weights + w * weight_stride + step * parts * kTileValues;
        const std::uint16_t* input = inputs + t * input_stride + step * parts * kTileValues;
        if (parts == 2) add_tile(weight, input + kTileValues, sum);
        add_tile(weight, input, sum);
        if (rest) add_tile(weight + kTileValues, input, sum);
      }
    }
  }
}

}  // namespace

const TileKernel tile_kernel_scalar = {nothing, nothing, pack_weights, pack_inputs,
                                       block,   store,   pack_shares};

}  // namespace galatea::kernel
