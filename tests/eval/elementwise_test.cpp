#include "eval/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "eval/exponential.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

using kernel::elementwise;

// Lengths that are whole vectors and such that are not.
constexpr std::size_t lengths[] = {1, 15, 16, 17, 100, 288, 2048, 32001};

TEST(ElementwiseLoops, NormIsTheFormulaInFloat64) {
  for (const std::size_t count : lengths) {
    const std::vector<float> in = random_values(count, 1, 3.0F);
    const std::vector<float> weight = random_values(count, 2, 1.0F);
    double squares = 0;
    for (const float value : in) squares += static_cast<double>(value) * value;
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(count) + 1e-5);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      std::vector<float> out(count, NAN);
      elementwise(isa).norm(in.data(), weight.data(), count, 1e-5, out.data());
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_NEAR(out[i], in[i] * scale * weight[i], 3e-7 * std::fabs(out[i]))
            << to_string(isa) << " " << count;
      if (first.empty()) first = out;
      EXPECT_EQ(out, first) << to_string(isa) << " " << count;
    }
  }
}

TEST(ElementwiseLoops, GateIsSiluTimesUp) {
  for (const std::size_t count : lengths) {
    const std::vector<float> in = random_values(count, 3, 8.0F);
    const std::vector<float> up = random_values(count, 4, 1.0F);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      std::vector<float> out = in;
      elementwise(isa).gate(out.data(), up.data(), count);
      for (std::size_t i = 0; i < count; ++i) {
        const double expected = in[i] / (1.0 + std::exp(-static_cast<double>(in[i]))) * up[i];
        ASSERT_NEAR(out[i], expected, 6e-7 * std::fabs(expected)) << to_string(isa) << " " << in[i];
      }
      if (first.empty()) first = out;
      EXPECT_EQ(out, first) << to_string(isa) << " " << count;
    }
  }
}

TEST(ElementwiseLoops, RotateAndAddAreExactlyTheirOperations) {
  for (const std::size_t count : lengths) {
    const std::vector<float> a = random_values(count, 5, 1.0F);
    const std::vector<float> b = random_values(count, 6, 1.0F);
    const std::vector<float> c = random_values(count, 7, 1.0F);
    const std::vector<float> s = random_values(count, 8, 1.0F);
    for (const Isa isa : available_isas()) {
      std::vector<float> first = a;
      std::vector<float> second = b;
      elementwise(isa).rotate(first.data(), second.data(), c.data(), s.data(), count);
      std::vector<float> sum = a;
      elementwise(isa).add(sum.data(), b.data(), count);
      for (std::size_t i = 0; i < count; ++i) {
        // Each product rounded by itself: volatile keeps a compiler from fusing it with the sum.
        const volatile float ac = a[i] * c[i];
        const volatile float bs = b[i] * s[i];
        const volatile float bc = b[i] * c[i];
        const volatile float as = a[i] * s[i];
        ASSERT_EQ(first[i], ac - bs) << to_string(isa);
        ASSERT_EQ(second[i], bc + as) << to_string(isa);
        ASSERT_EQ(sum[i], a[i] + b[i]) << to_string(isa);
      }
    }
  }
}

TEST(ElementwiseLoops, LogSumIsNearTheOneOfLongDoubles) {
  for (const std::size_t count : lengths) {
    for (const float scale : {0.1F, 5.0F, 300.0F}) {
      const std::vector<float> values = random_values(count, 9, scale);
      const float top = *std::max_element(values.begin(), values.end());
      long double sum = 0;
      for (const float value : values) sum += std::exp(static_cast<long double>(value) - top);
      const auto expected = static_cast<double>(top + std::log(sum));
      double first = NAN;
      for (const Isa isa : available_isas()) {
        float largest = 0;
        const double found = elementwise(isa).log_sum(values.data(), count, largest);
        EXPECT_EQ(largest, top);
        EXPECT_NEAR(found, expected, 1e-14 * std::max(1.0, std::fabs(expected)))
            << to_string(isa) << " " << count;
        if (std::isnan(first)) first = found;
        EXPECT_EQ(found, first) << to_string(isa) << " " << count;
      }
    }
  }
}

TEST(ElementwiseLoops, NotANumberStaysOne) {
  std::vector<float> values = random_values(40, 10, 1.0F);
  for (const std::size_t at : {std::size_t{3}, std::size_t{39}}) {
    std::vector<float> broken = values;
    broken[at] = std::numeric_limits<float>::quiet_NaN();
    for (const Isa isa : available_isas()) {
      float largest = 0;
      EXPECT_TRUE(std::isnan(elementwise(isa).log_sum(broken.data(), broken.size(), largest)))
          << to_string(isa);
      std::vector<float> gates = broken;
      elementwise(isa).gate(gates.data(), values.data(), gates.size());
      EXPECT_TRUE(std::isnan(gates[at]));
    }
  }
}

TEST(Exponential, OfFloatsIsNearTheTrueOne) {
  double worst = 0;
  for (int i = 0; i < 127'737; ++i) {
    const float x = -87.0F + static_cast<float>(i) * 0.00137F;
    const double expected = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::fabs(static_cast<double>(kernel::exponential(x)) - expected) / expected);
  }
  EXPECT_LT(worst, 2e-7);
  EXPECT_EQ(kernel::exponential(0.0F), 1.0F);
  EXPECT_EQ(kernel::exponential(-87.1F), 0.0F);
  EXPECT_EQ(kernel::exponential(-INFINITY), 0.0F);
  EXPECT_TRUE(std::isnan(kernel::exponential(NAN)));
}

TEST(Exponential, OfDoublesIsNearTheTrueOne) {
  double worst = 0;
  for (int i = 0; i < 1'000'003; ++i) {
    const double x = -708.0 + static_cast<double>(i) * 0.0014169;
    const auto expected = static_cast<double>(std::exp(static_cast<long double>(x)));
    worst = std::max(worst, std::fabs(kernel::exponential(x) - expected) / expected);
  }
  EXPECT_LT(worst, 4e-16);
  EXPECT_EQ(kernel::exponential(0.0), 1.0);
  EXPECT_EQ(kernel::exponential(-708.1), 0.0);
  EXPECT_EQ(kernel::exponential(-static_cast<double>(INFINITY)), 0.0);
  EXPECT_TRUE(std::isnan(kernel::exponential(static_cast<double>(NAN))));
}

}  // namespace
}  // namespace galatea
