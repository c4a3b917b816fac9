#include "quantize/row_error.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace galatea {
namespace {

TEST(RowError, is_that_of_sums_in_double_precision) {
  std::mt19937_64 random(8);
  std::normal_distribution<float> normal;
  for (const std::size_t cols : {1U, 15U, 16U, 512U, 513U, 2048U, 5639U}) {
    std::vector<float> source(cols);
    std::vector<float> decoded(cols);
    double error = 0;
    double value = 0;
    double gain = 0;
    float largest = 0;
    for (std::size_t i = 0; i < cols; ++i) {
      source[i] = normal(random);
      decoded[i] = source[i] + 0.03F * normal(random);
      const double exact = source[i];
      const double found = decoded[i];
      error += (found - exact) * (found - exact);
      value += exact * exact;
      gain += found * found - exact * exact;
      largest = std::max(largest, std::abs(decoded[i] - source[i]));
    }
    const RowError result = error_of_row(source.data(), decoded.data(), cols);
    EXPECT_NEAR(result.squared_error, error, 1e-6 * error) << cols;
    EXPECT_NEAR(result.squared_value, value, 1e-6 * value) << cols;
    EXPECT_NEAR(result.gain, gain, 1e-5 * std::sqrt(error * value)) << cols;
    EXPECT_EQ(result.largest, largest) << cols;
  }
}

TEST(RowError, finds_the_largest_magnitude_and_what_is_not_finite) {
  std::vector<float> values(77, -0.0F);
  EXPECT_EQ(largest_magnitude_bits(values), 0U);
  values[70] = -3.5F;
  values[3] = 2.0F;
  EXPECT_EQ(largest_magnitude_bits(values), std::bit_cast<std::uint32_t>(3.5F));
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t place : {0U, 40U, 76U}) {
      std::vector<float> damaged = values;
      damaged[place] = bad;
      EXPECT_GE(largest_magnitude_bits(damaged), 0x7F800000U) << place;
    }
  }
}

}  // namespace
}  // namespace galatea
