#include "eval/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "eval/matmul_tiles.h"
#include "format/error.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

void matmul_tiles(const kernel::TileKernel& tiles, const Rows& weight, const float* in, std::uint64_t tokens,
                  float* out, int threads, std::uint64_t parts) {
  MatmulMemory memory;
  const ProductOf product{&weight, out};
  kernel::matmul_tiles(tiles, {&product, 1}, in, tokens, threads, parts, memory);
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
      multiply({in.data(), cols, 1, weight.data(), cols, rows, cols, row.data(), rows}, isa);
      EXPECT_EQ(row,
                std::vector<float>(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(rows)));
    }
  }
}

/// The largest error of a product, relative to the sum of its terms' sizes.
double largest_error(const std::vector<float>& in, const std::vector<float>& weight, std::size_t tokens,
                     std::size_t rows, std::size_t cols, const std::vector<float>& out) {
  double worst = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = 0;
      double size = 0;
      for (std::size_t c = 0; c < cols; ++c) {
        const double term = static_cast<double>(in[t * cols + c]) * static_cast<double>(weight[r * cols + c]);
        sum += term;
        size += std::fabs(term);
      }
      worst = std::max(worst, std::fabs(static_cast<double>(out[t * rows + r]) - sum) / size);
    }
  }
  return worst;
}

/// Every kernel that this processor can run, the portable one among them.
std::vector<std::pair<std::string, const kernel::TileKernel*>> tile_kernels() {
  std::vector<std::pair<std::string, const kernel::TileKernel*>> out{{"scalar", &kernel::tile_kernel_scalar}};
  for (const Isa isa : available_isas()) {
    if (const kernel::TileKernel* found = kernel::tile_kernel(isa)) out.emplace_back(to_string(isa), found);
  }
  return out;
}

struct Shape {
  std::size_t tokens, rows, cols;
};

TEST(MatmulTiles, WithinTheirBoundsForAnyShapeThreadsAndBatch) {
  for (const auto& [tokens, rows, cols] : {Shape{1, 1, 1}, Shape{3, 7, 15}, Shape{17, 33, 31},
                                           Shape{33, 300, 65}, Shape{300, 37, 600}, Shape{2, 16, 2000}}) {
    const std::vector<float> in = random_values(tokens * cols, 3);
    std::vector<float> weight = random_values(rows * cols, 4);
    for (float& value : weight) value = f16_to_f32(f32_to_f16(value));
    const RowsPtr matrix = memory_rows(weight, rows, cols);
    for (const auto& [name, tiles] : tile_kernels()) {
      for (const auto& [parts, bound] : {std::pair<std::uint64_t, double>{2, 2e-5}, {1, 8e-3}}) {
        std::vector<float> out(tokens * rows, NAN);
        matmul_tiles(*tiles, *matrix, in.data(), tokens, out.data(), 1, parts);
        EXPECT_LT(largest_error(in, weight, tokens, rows, cols, out), bound)
            << name << " " << parts << " " << tokens << "x" << rows << "x" << cols;
        for (const int threads : {2, 3, 7}) {
          std::vector<float> again(tokens * rows, NAN);
          matmul_tiles(*tiles, *matrix, in.data(), tokens, again.data(), threads, parts);
          EXPECT_EQ(again, out) << name << " " << threads << " threads";
        }
        // The last token by itself gives the bits that it gave among the others.
        std::vector<float> last(rows, NAN);
        matmul_tiles(*tiles, *matrix, in.data() + (tokens - 1) * cols, 1, last.data(), 2, parts);
        EXPECT_TRUE(std::equal(last.begin(), last.end(), out.end() - static_cast<std::ptrdiff_t>(rows)))
            << name;
      }
    }
  }
}

TEST(MatmulTiles, AmxGivesTheSumsOfItsManual) {
  const std::vector<float> in = random_values(std::size_t{35} * 200, 8);
  const RowsPtr matrix = memory_rows(random_values(std::size_t{50} * 200, 9), 50, 200);
  for (const auto& [name, tiles] : tile_kernels()) {
    if (name == "avx512_bf16") continue;  // another order of sums
    for (const std::uint64_t parts : {1U, 2U}) {
      std::vector<float> expected(35 * 50);
      std::vector<float> found(35 * 50);
      matmul_tiles(kernel::tile_kernel_scalar, *matrix, in.data(), 35, expected.data(), 1, parts);
      matmul_tiles(*tiles, *matrix, in.data(), 35, found.data(), 1, parts);
      EXPECT_EQ(found, expected) << name << " " << parts;
    }
  }
}

TEST(MatmulTiles, NotANumberStaysOne) {
  std::vector<float> weight(40 * 64, 1.0F);
  weight[35 * 64 + 7] = NAN;
  weight[36 * 64 + 7] = INFINITY;
  const std::vector<float> in(64, 1.0F);
  for (const auto& [name, tiles] : tile_kernels()) {
    for (const std::uint64_t parts : {1U, 2U}) {
      std::vector<float> out(40);
      matmul_tiles(*tiles, *memory_rows(weight, 40, 64), in.data(), 1, out.data(), 2, parts);
      EXPECT_TRUE(std::isnan(out[35])) << name;
      EXPECT_FALSE(std::isfinite(out[36])) << name;
      EXPECT_EQ(out[34], 64.0F) << name;
    }
  }
}

TEST(Matmul, WithoutTilesEveryPrecisionIsFloat32) {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    EXPECT_EQ(precision_on(isa, Precision::exact), Precision::f32);
    EXPECT_EQ(precision_on(isa, Precision::fast), Precision::f32);
  }
  EXPECT_EQ(precision_on(Isa::avx512_bf16, Precision::exact), Precision::f32);
  const std::vector<float> in = random_values(3 * 40, 5);
  const RowsPtr matrix = memory_rows(random_values(9 * 40, 6), 9, 40);
  std::vector<float> plain(27);
  std::vector<float> asked(27);
  matmul(*matrix, in.data(), 3, plain.data(), 1, Isa::scalar);
  matmul(*matrix, in.data(), 3, asked.data(), 1, Isa::scalar, Precision::exact);
  EXPECT_EQ(asked, plain);
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
  EXPECT_THROW(matmul(DamagedRows(), in.data(), 1, out.data(), 2, best_isa(), Precision::exact), Error);
}

}  // namespace
}  // namespace galatea
