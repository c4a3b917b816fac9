#include "converter/low_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "format/error.h"
#include "tests/support/files.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

RowsPtr decaying(std::uint64_t number, std::uint64_t rows, std::uint64_t cols, double decay, double noise) {
  const std::uint64_t count = std::min(rows, cols);
  const std::vector<float> left = oracle_matrix(2 * number, rows * count),
                           right = oracle_matrix(2 * number + 1, count * cols),
                           added = oracle_matrix(2 * number + 100, rows * cols);
  std::vector<float> out(rows * cols);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (std::uint64_t k = 0; k < count; ++k)
        sum += double{left[r * count + k]} * std::pow(decay, k) * double{right[k * cols + c]};
      out[r * cols + c] = static_cast<float>(sum + noise * double{added[r * cols + c]});
    }
  }
  return memory_rows(out, rows, cols);
}

TEST(LowRank, misses_hardly_more_than_the_best_product_by_numpy) {
  const auto golden = nlohmann::json::parse(test::read_bytes(test::test_data("lora/low_rank.json")));
  std::uint64_t number = 0, compared = 0;
  for (const auto& entry : golden.at("cases")) {
    const RowsPtr rows =
        decaying(number++, entry.at("rows"), entry.at("cols"), entry.at("decay"), entry.at("noise"));
    const double norm = entry.at("norm");
    for (const auto& [rank_text, best] : entry.at("errors").items()) {
      const std::uint64_t rank = std::stoull(rank_text);
      const LowRank found = low_rank(*rows, rank);
      const LowRankError error = low_rank_error(*rows, found.up, found.down, rank);
      EXPECT_NEAR(error.norm, norm, 1e-6 * norm);
      EXPECT_LE(error.missed, best.get<double>() * 1.01 + 1e-6 * norm) << number << ", rank " << rank;
      EXPECT_GE(error.missed, best.get<double>() * (1 - 1e-6) - 1e-6 * norm) << number << ", rank " << rank;
      EXPECT_NEAR(found.singular[0], entry.at("largest").get<double>(), 1e-3 * found.singular[0]);
      EXPECT_TRUE(std::is_sorted(found.singular.rbegin(), found.singular.rend()));
      ++compared;
    }
  }
  EXPECT_EQ(compared, 20U);
}

TEST(LowRank, a_matrix_of_that_rank_is_found_to_the_last_bits) {
  const std::uint64_t rows = 500, cols = 300, rank = 5;
  const std::vector<float> up = oracle_matrix(7, rows * rank), down = oracle_matrix(8, rank * cols);
  std::vector<float> product(rows * cols, 0.0F);
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) {
      for (std::uint64_t k = 0; k < rank; ++k) product[r * cols + c] += up[r * rank + k] * down[k * cols + c];
    }
  }
  const RowsPtr matrix_rows = memory_rows(product, rows, cols);
  for (const std::uint64_t asked : {5U, 8U}) {
    const LowRank found = low_rank(*matrix_rows, asked);
    EXPECT_LT(low_rank_error(*matrix_rows, found.up, found.down, asked).relative(), 1e-6) << asked;
  }
  const LowRank less = low_rank(*matrix_rows, 4);
  EXPECT_GT(low_rank_error(*matrix_rows, less.up, less.down, 4).relative(), 0.1);
}

TEST(LowRank, full_rank_and_zeros_are_no_special_cases) {
  const RowsPtr small = memory_rows(oracle_matrix(3, 6), 2, 3);
  const LowRank all = low_rank(*small, 2);
  EXPECT_LT(low_rank_error(*small, all.up, all.down, 2).relative(), 1e-6);
  const RowsPtr nothing = memory_rows(std::vector<float>(50 * 40, 0.0F), 50, 40);
  const LowRank zero = low_rank(*nothing, 3);
  EXPECT_EQ(zero.up, std::vector<float>(150, 0.0F));
  EXPECT_EQ(low_rank_error(*nothing, zero.up, zero.down, 3).relative(), 0);
}

TEST(LowRank, refuses_ranks_that_no_matrix_has_and_values_that_are_not_finite) {
  const RowsPtr small = memory_rows(oracle_matrix(3, 6), 2, 3);
  EXPECT_THROW(low_rank(*small, 0), Error);
  EXPECT_THROW(low_rank(*small, 3), Error);
  const std::vector<float> bad = {1, 2, NAN, 4, 5, 6};
  EXPECT_THROW(low_rank(*memory_rows(bad, 2, 3), 1), Error);
  EXPECT_THROW(difference_rows(small, memory_rows(bad, 3, 2)), Error);
}

}  // namespace
}  // namespace galatea
