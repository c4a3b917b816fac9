#include "eval/matmul_tiles.h"

// Blocks of the product, so that what is used again stays in the caches: a chunk of weight rows is decoded
// once for a stretch of tokens; of it, `kStepsAtOnce` column steps of up to 256 rows and 256 tokens (256 KiB each
// with two parts) and their sums share the second-level cache, those of two panels the first.
#include <omp.h>

#include <algorithm>
#include <vector>

#include "eval/aligned.h"
#include "format/first_failure.h"

namespace galatea::kernel {
namespace {

constexpr std::uint64_t kStepsAtOnce = 8;
constexpr std::uint64_t kTokensAtOnce = 256;
constexpr std::uint64_t kRowsAtOnce = 256;
/// Packed inputs held at once; decoding the weights again for each such stretch costs little.
constexpr std::uint64_t kInputBytes = std::uint64_t{256} << 20U;

std::uint64_t up_to(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A multiple of 32 tokens, of which those that are not there are zeros.
std::uint64_t tokens_at_once(std::uint64_t tokens, std::uint64_t panel_values) {
  const std::uint64_t token_bytes = panel_values * 2 / kTileRows;
  return std::min(up_to(tokens, 2 * kTileRows),
                  std::max(kTokensAtOnce, kInputBytes / token_bytes / kTokensAtOnce * kTokensAtOnce));
}

/// What one thread works with: bytes of a stretch of memory.
struct Workspace {
  float* decoded;          ///< one panel of weights: 16 rows
  std::uint16_t* weights;  ///< packed panels of a chunk of rows
  float* sums;
  double decoding = 0;  ///< seconds

  Workspace(std::byte* at, std::uint64_t cols, std::uint64_t panel_values)
      : decoded(reinterpret_cast<float*>(at)),
        weights(reinterpret_cast<std::uint16_t*>(at + decoded_bytes(cols))),
        sums(reinterpret_cast<float*>(at + decoded_bytes(cols) + weight_bytes(panel_values))) {}

  static std::uint64_t decoded_bytes(std::uint64_t cols) {
    return up_to(kTileRows * cols * sizeof(float), 4096);
  }
  static std::uint64_t weight_bytes(std::uint64_t panel_values) {
    return kRowsAtOnce / kTileRows * panel_values * 2;
  }
  static std::uint64_t bytes(std::uint64_t cols, std::uint64_t panel_values) {
    return decoded_bytes(cols) + weight_bytes(panel_values) + kRowsAtOnce * kTokensAtOnce * sizeof(float);
  }
};

/// Rows of one of the weights.
struct Chunk {
  const Rows* weight;
  float* out;
  std::uint64_t first_row, rows;
};

class Product {
 public:
  Product(const TileKernel& kernel, std::span<const ProductOf> products, const float* in, std::uint64_t parts,
          MatmulMemory& memory)
      : kernel_(kernel),
        products_(products),
        in_(in),
        cols_(products.front().weight->cols()),
        parts_(parts),
        panel_values_(up_to(cols_, kTileCols) / kTileCols * parts * kTileValues),
        memory_(memory) {}

  double run(std::uint64_t tokens, int threads) {
    const auto team = static_cast<std::uint64_t>(std::max(threads, 1));
    const std::uint64_t stretch = tokens_at_once(tokens, panel_values_);
    inputs_ = memory_.inputs.at_least(stretch / kTileRows * panel_values_);
    const std::uint64_t space = Workspace::bytes(cols_, panel_values_);
    std::byte* const at = memory_.spaces.at_least(team * space);
    std::vector<Workspace> spaces;
    spaces.reserve(team);
    for (std::uint64_t i = 0; i < team; ++i) spaces.emplace_back(at + i * space, cols_, panel_values_);
    cut(team);
    for (std::uint64_t first = 0; first < tokens; first += stretch) {
      first_token_ = first;
      tokens_ = std::min(stretch, tokens - first);
      run_stretch(spaces);
    }
    failure_.rethrow();
    double decoding = 0;
    for (const Workspace& workspace : spaces) decoding += workspace.decoding;
    return decoding / static_cast<double>(team);
  }

 private:
  /// At least four chunks a thread where there are rows enough, so that a slow one does not hold up the rest.
  void cut(std::uint64_t team) {
    std::uint64_t rows = 0;
    for (const ProductOf& product : products_) rows += product.weight->rows();
    const std::uint64_t at_once =
        std::clamp(rows / (4 * team) / (2 * kTileRows) * (2 * kTileRows), 2 * kTileRows, kRowsAtOnce);
    for (const ProductOf& product : products_) {
      for (std::uint64_t row = 0; row < product.weight->rows(); row += at_once)
        chunks_.push_back(
            {product.weight, product.out, row, std::min(at_once, product.weight->rows() - row)});
    }
  }

  void run_stretch(std::vector<Workspace>& spaces) {
    const auto panels = static_cast<std::int64_t>(up_to(tokens_, 2 * kTileRows) / kTileRows);
    const auto chunks = static_cast<std::int64_t>(chunks_.size());
#pragma omp parallel num_threads(static_cast <int>(spaces.size()))
    {
#pragma omp for schedule(static)
      for (std::int64_t panel = 0; panel < panels; ++panel) pack_inputs(static_cast<std::uint64_t>(panel));
      Workspace& space = spaces[static_cast<std::size_t>(omp_get_thread_num())];
      kernel_.begin();
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        failure_.guard([&] { run_chunk(chunks_[static_cast<std::size_t>(chunk)], space); });
      }
      kernel_.end();
    }
  }

  void pack_inputs(std::uint64_t panel) {
    const std::uint64_t first = panel * kTileRows;
    const std::uint64_t count = first < tokens_ ? std::min(kTileRows, tokens_ - first) : 0;
    kernel_.pack_inputs(in_ + (first_token_ + std::min(first, tokens_ - 1)) * cols_, count, cols_, cols_,
                        parts_, inputs_ + panel * panel_values_);
  }

  void run_chunk(const Chunk& chunk, Workspace& space) {
    const std::uint64_t panels = up_to(chunk.rows, 2 * kTileRows) / kTileRows;
    const double before = omp_get_wtime();
    bool rest = false;
    for (std::uint64_t panel = 0; panel < panels; ++panel) {
      const std::uint64_t begin = panel * kTileRows;
      const std::uint64_t count = begin < chunk.rows ? std::min(kTileRows, chunk.rows - begin) : 0;
      const auto values = std::span(space.decoded, static_cast<std::size_t>(count * cols_));
      if (count > 0) chunk.weight->read_f32(chunk.first_row + begin, count, values);
      rest |= kernel_.pack_weights(values.data(), count, cols_, cols_, parts_,
                                   space.weights + panel * panel_values_);
    }
    space.decoding += omp_get_wtime() - before;
    const std::uint64_t out_stride = chunk.weight->rows();
    for (std::uint64_t token = 0; token < tokens_; token += kTokensAtOnce) {
      const std::uint64_t here = std::min(kTokensAtOnce, tokens_ - token);
      multiply(panels, token, up_to(here, 2 * kTileRows) / kTileRows, rest, space);
      kernel_.store(space.sums, kTokensAtOnce / kTileRows * kTileSums, chunk.rows, here,
                    chunk.out + (first_token_ + token) * out_stride + chunk.first_row, out_stride);
    }
  }

  void multiply(std::uint64_t row_panels, std::uint64_t token, std::uint64_t token_panels, bool rest,
                Workspace& space) const {
    const std::uint64_t sums_stride = kTokensAtOnce / kTileRows * kTileSums;
    const std::uint64_t all = panel_values_ / (parts_ * kTileValues);
    for (std::uint64_t step = 0; step < all; step += kStepsAtOnce) {
      const std::uint64_t steps = std::min(kStepsAtOnce, all - step);
      for (std::uint64_t row = 0; row < row_panels; row += 2) {
        const std::uint16_t* weights = space.weights + row * panel_values_ + step * parts_ * kTileValues;
        for (std::uint64_t t = 0; t < token_panels; t += 2) {
          const std::uint16_t* inputs =
              inputs_ + (token / kTileRows + t) * panel_values_ + step * parts_ * kTileValues;
          kernel_.block(weights, panel_values_, inputs, panel_values_, steps, parts_, rest,
                        space.sums + row * sums_stride + t * kTileSums, sums_stride, step == 0);
        }
      }
    }
  }

  const TileKernel& kernel_;
  std::span<const ProductOf> products_;
  const float* in_;
  std::uint64_t cols_, parts_, panel_values_;
  MatmulMemory& memory_;
  std::vector<Chunk> chunks_;
  std::uint64_t first_token_ = 0, tokens_ = 0;
  std::uint16_t* inputs_ = nullptr;
  FirstFailure failure_;
};

}  // namespace

double matmul_tiles(const TileKernel& kernel, std::span<const ProductOf> products, const float* in,
                    std::uint64_t tokens, int threads, std::uint64_t parts, MatmulMemory& memory) {
  if (products.empty() || tokens == 0) return 0;
  return Product(kernel, products, in, parts, memory).run(tokens, threads);
}

std::uint64_t matmul_tiles_bytes(std::uint64_t cols, std::uint64_t tokens, std::uint64_t threads,
                                 std::uint64_t parts) {
  const std::uint64_t padded = up_to(cols, kTileCols);
  const std::uint64_t panel_values = padded * kTileRows * parts;
  const std::uint64_t inputs = tokens_at_once(tokens, panel_values) / kTileRows * panel_values * 2;
  return inputs + threads * Workspace::bytes(cols, panel_values);
}

const TileKernel* tile_kernel(Isa isa) {
#if defined(GALATEA_X86)
  if (isa == Isa::amx) return &tile_kernel_amx;
  if (isa == Isa::avx512_bf16) return &tile_kernel_avx512_bf16;
#endif
  (void)isa;
  return nullptr;
}

}  // namespace galatea::kernel
