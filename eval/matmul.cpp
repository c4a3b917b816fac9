#include "eval/matmul.h"

#include <omp.h>

#include <algorithm>

#include "eval/matmul_kernel.h"
#include "eval/matmul_tiles.h"
#include "format/first_failure.h"

namespace galatea {
namespace {

kernel::TileFunction tile_for(Isa isa) {
#if defined(GALATEA_X86)
  if (isa >= Isa::avx512) return kernel::tile_avx512;
  if (isa == Isa::avx2) return kernel::tile_avx2;
#endif
  (void)isa;
  return kernel::tile_scalar;
}

/// Weight rows of one tile stay in the second-level cache while all tokens pass over them.
constexpr std::uint64_t kTileBytes = 512U << 10U;
/// Tokens that pass over a tile together; their inputs share the cache with it.
constexpr std::uint64_t kTokenBlock = 64;

}  // namespace

std::string_view to_string(Precision precision) {
  switch (precision) {
    case Precision::f32:
      return "f32";
    case Precision::exact:
      return "exact";
    case Precision::fast:
      return "fast";
  }
  return "?";
}

Precision precision_on(Isa isa, Precision precision) {
  // Three products of AVX-512 BF16 take longer than one of float32.
  if (isa == Isa::avx512_bf16 && precision == Precision::exact) return Precision::f32;
  return kernel::tile_kernel(isa) != nullptr ? precision : Precision::f32;
}

namespace {

double float_product(const Rows& weight, const float* in, std::uint64_t tokens, float* out, int threads,
                     Isa isa, MatmulMemory& memory) {
  if (weight.rows() == 0 || tokens == 0) return 0;
  const std::uint64_t rows = weight.rows();
  const std::uint64_t cols = weight.cols();
  const kernel::TileFunction tile = tile_for(isa);
  const auto team = static_cast<std::uint64_t>(std::max(threads, 1));
  // At least four tiles a thread where there are rows enough, so that a slow one does not hold up the rest.
  const std::uint64_t step = std::clamp<std::uint64_t>(
      std::min(kTileBytes / std::max<std::uint64_t>(cols * 4, 1), rows / (4 * team)), 1, rows);
  const auto tiles = static_cast<std::int64_t>((rows + step - 1) / step);
  // Taken here: an allocation that fails inside of the parallel region could not be reported.
  auto* const decoded = reinterpret_cast<float*>(memory.spaces.at_least(team * step * cols * sizeof(float)));
  double decoding = 0;
  FirstFailure failure;
#pragma omp parallel num_threads(static_cast <int>(team)) reduction(+ : decoding)
  {
    float* const tile_values = decoded + static_cast<std::uint64_t>(omp_get_thread_num()) * step * cols;
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < tiles; ++i) {
      const std::uint64_t first = static_cast<std::uint64_t>(i) * step;
      const std::uint64_t count = std::min(step, rows - first);
      failure.guard([&] {
        const double before = omp_get_wtime();
        weight.read_f32(first, count, std::span(tile_values, static_cast<std::size_t>(count * cols)));
        decoding += omp_get_wtime() - before;
        for (std::uint64_t t = 0; t < tokens; t += kTokenBlock) {
          tile({in + t * cols, cols, std::min(kTokenBlock, tokens - t), tile_values, cols, count, cols,
                out + t * rows + first, rows});
        }
      });
    }
  }
  failure.rethrow();
  return decoding / static_cast<double>(team);
}

}  // namespace

double matmul(std::span<const ProductOf> products, const float* in, std::uint64_t tokens, int threads,
              Isa isa, Precision precision, MatmulMemory& memory) {
  if (precision_on(isa, precision) != Precision::f32) {
    return kernel::matmul_tiles(*kernel::tile_kernel(isa), products, in, tokens, threads,
                                precision == Precision::exact ? 2 : 1, memory);
  }
  double decoding = 0;
  for (const ProductOf& product : products)
    decoding += float_product(*product.weight, in, tokens, product.out, threads, isa, memory);
  return decoding;
}

double matmul(const Rows& weight, const float* in, std::uint64_t tokens, float* out, int threads, Isa isa,
              Precision precision) {
  MatmulMemory memory;
  const ProductOf product{&weight, out};
  return matmul({&product, 1}, in, tokens, threads, isa, precision, memory);
}

std::uint64_t matmul_bytes(std::uint64_t cols, std::uint64_t tokens, std::uint64_t threads) {
  return std::max(threads * std::max(kTileBytes, 4 * cols),
                  kernel::matmul_tiles_bytes(cols, tokens, threads, 2));
}

void multiply(const kernel::Operands& operands, Isa isa) { tile_for(isa)(operands); }

}  // namespace galatea
