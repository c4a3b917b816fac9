// What the processor could do at most: the tile product of the forward pass on operands that stay in the first-level
// cache, without decoding, packing or storing, on every thread at once; and its float32 product.
//
//   peak [THREADS]     prints "BFLOAT16 FLOAT32" in GFLOP/s, the best of several short runs; 0 where there is none
#include <omp.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>

#include "eval/aligned.h"
#include "eval/matmul.h"
#include "eval/matmul_tiles.h"
#include "format/isa.h"

namespace {

using namespace galatea;
using Clock = std::chrono::steady_clock;

/// GFLOP/s of `work`, which does `flops` a call, on `threads` threads; `begin` and `end` are called around by each.
double best_rate(int threads, int calls, double flops, const std::function<void()>& begin,
                 const std::function<std::function<void()>()>& make, const std::function<void()>& end) {
  double best = 0;
  for (int round = 0; round < 20; ++round) {
    double slowest = 0;
#pragma omp parallel num_threads(threads) reduction(max : slowest)
    {
      const std::function<void()> work = make();
      begin();
      work();
#pragma omp barrier
      const Clock::time_point start = Clock::now();
      for (int i = 0; i < calls; ++i) work();
      slowest = std::chrono::duration<double>(Clock::now() - start).count();
      end();
    }
    best = std::max(best, flops * calls * threads / slowest / 1e9);
  }
  return best;
}

double tiles_rate(int threads) {
  const kernel::TileKernel* tiles = kernel::tile_kernel(best_isa());
  if (tiles == nullptr) return 0;
  static constexpr std::uint64_t steps = 4;
  static constexpr std::uint64_t panel = steps * kernel::kTileValues;
  constexpr double flops = 2.0 * 32 * 32 * 32 * steps;
  return best_rate(
      threads, 20000, flops, tiles->begin,
      [&]() -> std::function<void()> {
        auto operands = std::make_shared<kernel::Aligned<std::uint16_t>>(4 * panel);
        auto sums = std::make_shared<kernel::Aligned<float>>(4 * kernel::kTileSums);
        std::fill_n(operands->get(), 4 * panel, std::uint16_t{0});
        return [tiles, operands, sums] {
          tiles->block(operands->get(), panel, operands->get() + 2 * panel, panel, steps, 1, false,
                       sums->get(), 2 * kernel::kTileSums, true);
        };
      },
      tiles->end);
}

double float_rate(int threads) {
  static constexpr std::uint64_t rows = 20;
  static constexpr std::uint64_t cols = 128;
  return best_rate(
      threads, 2000, 2.0 * rows * rows * cols, [] {},
      []() -> std::function<void()> {
        auto in = std::make_shared<kernel::Aligned<float>>(2 * rows * cols);
        auto out = std::make_shared<kernel::Aligned<float>>(rows * rows);
        std::fill_n(in->get(), 2 * rows * cols, 0.0F);
        return [in, out] {
          multiply({in->get(), cols, rows, in->get() + rows * cols, cols, rows, cols, out->get(), rows},
                   best_isa());
        };
      },
      [] {});
}

}  // namespace

int main(int argc, char** argv) {
  int threads = omp_get_max_threads();
  if (argc > 1) std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), threads);
  threads = std::max(threads, 1);
  std::printf("%.0f %.0f\n", tiles_rate(threads), float_rate(threads));
  return 0;
}
