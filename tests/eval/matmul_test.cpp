#include "eval/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "format/error.h"

namespace galatea {
namespace {

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

/// The order of the header, written down independently: lane sums in float64-free fused steps, then the tree.
float reference_dot(const float* a, const float* b, std::size_t count) {
  float lanes[16] = {};
  for (std::size_t i = 0; i < count; ++i) lanes[i % 16] = std::fma(a[i], b[i], lanes[i % 16]);
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

TEST(Matmul, TheStatedOrderOnEveryPathForAnyShapeAndThreads) {
  for (const auto& [tokens, rows, cols] : {std::tuple<std::size_t, std::size_t, std::size_t>{1, 1, 1},
                                           {3, 7, 15},
                                           {5, 11, 16},
                                           {9, 13, 33},
                                           {130, 37, 64},
                                           {4, 700, 172}}) {
    const std::vector<float> in = random_values(tokens * cols, 1);
    const std::vector<float> weight = random_values(rows * cols, 2);
    const RowsPtr matrix = memory_rows(weight, rows, cols);
    std::vector<float> expected(tokens * rows);
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t r = 0; r < rows; ++r) {
        expected[t * rows + r] = reference_dot(in.data() + t * cols, weight.data() + r * cols, cols);
      }
    }
    for (const Isa isa : available_isas()) {
      for (const int threads : {1, 2, 3, 7}) {
        std::vector<float> out(tokens * rows, NAN);
        matmul(*matrix, in.data(), tokens, out.data(), threads, isa);
        EXPECT_EQ(out, expected) << to_string(isa) << " " << threads << " threads, " << tokens << "x" << rows
                                 << "x" << cols;
      }
      std::vector<float> row(rows, NAN);
      dot_rows(in.data(), weight.data(), rows, cols, row.data(), isa);
      EXPECT_EQ(row,
                std::vector<float>(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(rows)));
    }
  }
}

class DamagedRows final : public Rows {
 public:
  DamagedRows() : Rows(DType::f32, 64, 16) {}
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override {
    throw Error(ErrorKind::input, "damaged");
  }
};

TEST(Matmul, AnErrorOfTheWeightComesOut) {
  const std::vector<float> in(16);
  std::vector<float> out(64);
  EXPECT_THROW(matmul(DamagedRows(), in.data(), 1, out.data(), 2, active_isa()), Error);
}

}  // namespace
}  // namespace galatea
