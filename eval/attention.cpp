#include "eval/attention.h"

#include <algorithm>
#include <cmath>

#include "eval/exponential.h"
#include "eval/matmul_tiles.h"

namespace galatea {
namespace {

/// Queries that pass over the keys together.
constexpr std::uint64_t kQueryBlock = 32;

/// Where the sliding window of a position begins.
std::uint64_t first_seen(std::uint64_t position, std::uint64_t window) {
  return window == 0 || position < window ? 0 : position + 1 - window;
}

class Float32Attention final : public HeadAttention {
 public:
  Float32Attention(std::uint64_t length, std::uint64_t dim, std::uint64_t window, Isa isa)
      : length_(length),
        dim_(dim),
        window_(window),
        isa_(isa),
        keys_(static_cast<std::size_t>(length * dim)),
        values_(static_cast<std::size_t>(length * dim)),
        scores_(static_cast<std::size_t>(kQueryBlock * length)) {}

  void run(const HeadOperands& head) override {
    for (std::uint64_t p = 0; p < length_; ++p) {
      const std::uint64_t at = p * head.kv_stride;
      std::copy_n(head.k + at, dim_, keys_.data() + p * dim_);
      for (std::uint64_t d = 0; d < dim_; ++d) values_[d * length_ + p] = head.v[at + d];
    }
    for (std::uint64_t first = 0; first < length_; first += kQueryBlock) {
      const std::uint64_t queries = std::min(kQueryBlock, length_ - first);
      const std::uint64_t seen = first + queries;
      multiply({head.q + first * head.q_stride, head.q_stride, queries, keys_.data(), dim_, seen, dim_,
                scores_.data(), length_},
               isa_);
      for (std::uint64_t i = 0; i < queries; ++i)
        softmax(scores_.data() + i * length_, first_seen(first + i, window_), first + i + 1, seen);
      // Shares of positions that a query does not see are zeros, which change no sum.
      multiply({scores_.data(), length_, queries, values_.data(), length_, dim_, seen,
                head.out + first * head.q_stride, head.q_stride},
               isa_);
    }
  }

 private:
  /// Scores of the positions [first, seen) turn into shares, the others, up to `width`, into zeros.
  void softmax(float* scores, std::uint64_t first, std::uint64_t seen, std::uint64_t width) const {
    const float scale = 1.0F / std::sqrt(static_cast<float>(dim_));
    float largest = -INFINITY;
    for (std::uint64_t s = first; s < seen; ++s) {
      scores[s] *= scale;
      largest = std::max(largest, scores[s]);
    }
    for (std::uint64_t s = first; s < seen; ++s) scores[s] = kernel::exponential(scores[s] - largest);
    float sum = 0;
    for (std::uint64_t s = first; s < seen; ++s) sum += scores[s];
    for (std::uint64_t s = first; s < seen; ++s) scores[s] = scores[s] / sum;
    std::fill(scores, scores + first, 0.0F);
    std::fill(scores + seen, scores + width, 0.0F);
  }

  std::uint64_t length_, dim_, window_;
  Isa isa_;
  std::vector<float> keys_;    ///< [length][head_dim]
  std::vector<float> values_;  ///< [head_dim][length]
  std::vector<float> scores_;  ///< [kQueryBlock][length]
};

using kernel::kTileCols;
using kernel::kTileRows;
using kernel::kTileSums;
using kernel::kTileValues;

std::uint64_t up_to(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Keys are the weights of the first product, queries its inputs; the sums, [keys][16 queries], become inputs of the
/// second, whose weights are the values, [head_dim][keys].
class TileAttention final : public HeadAttention {
 public:
  TileAttention(std::uint64_t length, std::uint64_t dim, std::uint64_t window,
                const kernel::TileKernel& tiles, std::uint64_t parts)
      : length_(length),
        dim_(dim),
        window_(window),
        parts_(parts),
        padded_(up_to(length, kTileCols)),
        dim_panels_(up_to(dim, 2 * kTileRows) / kTileRows),
        key_panel_(up_to(dim, kTileCols) / kTileCols * parts * kTileValues),
        value_panel_(padded_ / kTileCols * parts * kTileValues),
        tiles_(tiles),
        transposed_(static_cast<std::size_t>(kTileRows * length)),
        keys_(padded_ / kTileRows * key_panel_),
        queries_(2 * key_panel_),
        values_(dim_panels_ * value_panel_),
        shares_(2 * value_panel_),
        scores_(padded_ / kTileRows * 2 * kTileSums),
        mixed_(dim_panels_ * 2 * kTileSums) {}

  void begin() override { tiles_.begin(); }
  void end() override { tiles_.end(); }

  void run(const HeadOperands& head) override {
    pack(head);
    for (std::uint64_t first = 0; first < length_; first += kQueryBlock) block(head, first);
  }

 private:
  void pack(const HeadOperands& head) {
    for (std::uint64_t p = 0; p < padded_; p += kTileRows) {
      const std::uint64_t count = p < length_ ? std::min(kTileRows, length_ - p) : 0;
      tiles_.pack_weights(head.k + std::min(p, length_ - 1) * head.kv_stride, count, dim_, head.kv_stride,
                          parts_, keys_.get() + p / kTileRows * key_panel_);
    }
    for (std::uint64_t panel = 0; panel < dim_panels_; ++panel) {
      const std::uint64_t begin = panel * kTileRows;
      const std::uint64_t count = begin < dim_ ? std::min(kTileRows, dim_ - begin) : 0;
      for (std::uint64_t p = 0; p < length_; ++p) {
        for (std::uint64_t d = 0; d < count; ++d)
          transposed_[d * length_ + p] = head.v[p * head.kv_stride + begin + d];
      }
      tiles_.pack_weights(transposed_.data(), count, length_, length_, parts_,
                          values_.get() + panel * value_panel_);
    }
  }

  /// Queries first to first + 31.
  void block(const HeadOperands& head, std::uint64_t first) {
    const std::uint64_t count = std::min(kQueryBlock, length_ - first);
    for (std::uint64_t half = 0; half < 2; ++half) {
      const std::uint64_t begin = std::min(first + half * kTileRows, length_ - 1);
      tiles_.pack_inputs(head.q + begin * head.q_stride,
                         half * kTileRows < count ? std::min(kTileRows, count - half * kTileRows) : 0, dim_,
                         head.q_stride, parts_, queries_.get() + half * key_panel_);
    }
    // A block of 32 queries that begins at a multiple of 32 sees whole steps of 32 keys.
    const std::uint64_t begin_step = first_seen(first, window_) / kTileCols;
    const std::uint64_t steps = first / kTileCols + 1 - begin_step;
    const std::uint64_t dim_steps = up_to(dim_, kTileCols) / kTileCols;
    for (std::uint64_t step = 0; step < steps; ++step) {
      tiles_.block(keys_.get() + (begin_step + step) * 2 * key_panel_, key_panel_, queries_.get(), key_panel_,
                   dim_steps, parts_, parts_ > 1, scores_.get() + step * 4 * kTileSums, 2 * kTileSums, true);
    }
    float totals[2][kTileRows];
    const float scale = 1.0F / std::sqrt(static_cast<float>(dim_));
    for (std::uint64_t half = 0; half < 2; ++half) {
      kernel::SeenKeys seen;
      for (std::uint64_t q = 0; q < kTileRows; ++q) {
        const std::uint64_t position = std::min(first + half * kTileRows + q, length_ - 1);
        seen.first[q] = static_cast<std::int32_t>(first_seen(position, window_)) -
                        static_cast<std::int32_t>(begin_step * kTileCols);
        seen.end[q] = static_cast<std::int32_t>(position + 1 - begin_step * kTileCols);
      }
      tiles_.pack_shares(scores_.get() + half * kTileSums, 2 * kTileSums, steps, seen, scale, parts_,
                         shares_.get() + half * value_panel_, totals[half]);
    }
    for (std::uint64_t panel = 0; panel < dim_panels_; panel += 2) {
      tiles_.block(values_.get() + panel * value_panel_ + begin_step * parts_ * kTileValues, value_panel_,
                   shares_.get(), value_panel_, steps, parts_, parts_ > 1,
                   mixed_.get() + panel * 2 * kTileSums, 2 * kTileSums, true);
    }
    for (std::uint64_t q = 0; q < count; ++q) {
      float* const out = head.out + (first + q) * head.q_stride;
      const float total = totals[q / kTileRows][q % kTileRows];
      for (std::uint64_t d = 0; d < dim_; ++d) {
        const std::uint64_t tile = d / kTileRows * 2 + q / kTileRows;
        out[d] = mixed_.get()[tile * kTileSums + d % kTileRows * kTileRows + q % kTileRows] / total;
      }
    }
  }

  std::uint64_t length_, dim_, window_, parts_, padded_, dim_panels_, key_panel_, value_panel_;
  const kernel::TileKernel& tiles_;
  std::vector<float> transposed_;  ///< [16][length]
  kernel::Aligned<std::uint16_t> keys_, queries_, values_, shares_;
  kernel::Aligned<float> scores_;  ///< tiles [keys / 16][2 of queries]
  kernel::Aligned<float> mixed_;   ///< tiles [head_dim / 16][2 of queries]
};

}  // namespace

std::uint64_t head_attention_bytes(std::uint64_t length, std::uint64_t head_dim) {
  const std::uint64_t padded = up_to(length, 2 * kTileRows);
  const std::uint64_t dim = up_to(head_dim, 2 * kTileRows);
  // Keys and values in two parts, a transposed panel, 32 queries' scores and shares; float32 takes no more.
  return 8 * padded * dim + 64 * padded + 2 * kQueryBlock * 4 * (padded + dim);
}

std::unique_ptr<HeadAttention> head_attention(std::uint64_t length, std::uint64_t head_dim,
                                              std::uint64_t sliding_window, const kernel::TileKernel& tiles,
                                              std::uint64_t parts) {
  return std::make_unique<TileAttention>(length, head_dim, sliding_window, tiles, parts);
}

std::unique_ptr<HeadAttention> head_attention(std::uint64_t length, std::uint64_t head_dim,
                                              std::uint64_t sliding_window, Isa isa, Precision precision) {
  if (precision_on(isa, precision) != Precision::f32) {
    return head_attention(length, head_dim, sliding_window, *kernel::tile_kernel(isa),
                          precision == Precision::exact ? 2 : 1);
  }
  return std::make_unique<Float32Attention>(length, head_dim, sliding_window, isa);
}

}  // namespace galatea
