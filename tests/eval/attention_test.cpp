#include "eval/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "eval/matmul_tiles.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

struct Case {
  std::size_t length, dim, window;
};

/// q, k and v of one head side by side, as a window of a model with three heads and one of keys has them.
struct Head {
  Case shape;
  std::vector<float> q, k, v;
  explicit Head(const Case& of)
      : shape(of),
        q(random_values(of.length * 3 * of.dim, 1)),
        k(random_values(of.length * of.dim, 2)),
        v(random_values(of.length * of.dim, 3)) {}

  /// The middle head's output; the rest of the buffer stays what it was.
  std::vector<float> run(HeadAttention& attention) const {
    std::vector<float> out(q.size(), -1.0F);
    attention.begin();
    attention.run(
        {q.data() + shape.dim, k.data(), v.data(), out.data() + shape.dim, 3 * shape.dim, shape.dim});
    attention.end();
    return out;
  }

  /// From the definition, in float64.
  std::vector<double> expected(std::size_t position) const {
    const std::size_t dim = shape.dim;
    const std::size_t first = shape.window == 0 || position < shape.window ? 0 : position + 1 - shape.window;
    std::vector<double> out(dim, 0.0);
    double sum = 0;
    for (std::size_t s = first; s <= position; ++s) {
      double score = 0;
      for (std::size_t d = 0; d < dim; ++d)
        score += static_cast<double>(q[(position * 3 + 1) * dim + d]) * static_cast<double>(k[s * dim + d]);
      const double share = std::exp(score / std::sqrt(static_cast<double>(dim)));
      sum += share;
      for (std::size_t d = 0; d < dim; ++d) out[d] += share * static_cast<double>(v[s * dim + d]);
    }
    for (double& value : out) value /= sum;
    return out;
  }
};

double largest_error(const Head& head, const std::vector<float>& out) {
  double worst = 0;
  for (std::size_t p = 0; p < head.shape.length; ++p) {
    const std::vector<double> expected = head.expected(p);
    for (std::size_t d = 0; d < head.shape.dim; ++d) {
      const double found = out[(p * 3 + 1) * head.shape.dim + d];
      worst = std::max(worst, std::fabs(found - expected[d]));
      EXPECT_EQ(out[p * 3 * head.shape.dim + d], -1.0F) << "another head's place";
    }
  }
  return worst;
}

constexpr Case cases[] = {{1, 8, 0},    {7, 10, 0},    {33, 64, 0},  {64, 48, 0},
                          {100, 32, 9}, {130, 72, 40}, {97, 128, 33}};

TEST(Attention, AsDefinedOnEveryPath) {
  for (const Case& shape : cases) {
    const Head head(shape);
    const std::string name = std::to_string(shape.length) + "x" + std::to_string(shape.dim);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      const auto attention = head_attention(shape.length, shape.dim, shape.window, isa, Precision::f32);
      const std::vector<float> found = head.run(*attention);
      EXPECT_LT(largest_error(head, found), 3e-6) << name << " " << to_string(isa);
      if (first.empty()) first = found;
      EXPECT_EQ(found, first) << name << " " << to_string(isa);
    }
    const auto portable = [&](std::uint64_t parts) {
      return head_attention(shape.length, shape.dim, shape.window, kernel::tile_kernel_scalar, parts);
    };
    for (const auto& [parts, bound] : {std::pair<std::uint64_t, double>{2, 6e-5}, {1, 6e-2}}) {
      const std::vector<float> expected = head.run(*portable(parts));
      EXPECT_LT(largest_error(head, expected), bound) << name << " " << parts;
      for (const Isa isa : available_isas()) {
        const kernel::TileKernel* tiles = kernel::tile_kernel(isa);
        if (tiles == nullptr) continue;
        const auto attention = head_attention(shape.length, shape.dim, shape.window, *tiles, parts);
        const std::vector<float> found = head.run(*attention);
        EXPECT_LT(largest_error(head, found), bound) << name << " " << to_string(isa) << " " << parts;
        EXPECT_EQ(head.run(*attention), found) << "a second head leaves no trace";
        if (isa == Isa::amx) {
          EXPECT_EQ(found, expected) << name << " " << parts;
        }
      }
    }
  }
}

TEST(Attention, LargeScoresAndNaN) {
  Head head({40, 32, 0});
  for (float& value : head.q) value *= 200;
  for (const std::uint64_t parts : {1U, 2U}) {
    const auto attention = head_attention(40, 32, 0, kernel::tile_kernel_scalar, parts);
    for (const float value : head.run(*attention)) EXPECT_TRUE(std::isfinite(value));
    Head damaged = head;
    damaged.k[33 * 32] = NAN;
    const std::vector<float> found = damaged.run(*attention);
    EXPECT_FALSE(std::isnan(found[(20 * 3 + 1) * 32])) << "an earlier block does not see it";
    EXPECT_TRUE(std::isnan(found[(39 * 3 + 1) * 32]));
  }
}

}  // namespace
}  // namespace galatea
