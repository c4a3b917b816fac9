#include "quantize/better_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "quantize/encoder.h"
#include "tests/quantize/encode_samples.h"

namespace galatea {
namespace {

using test::fill;
using test::Kind;
using test::lane_kinds;

struct Row {
  DType type;
  ImproveRows LaneImprovers::*improve;
  double gain;  ///< of the squared error for Gaussian values, at least
};
constexpr Row rows[] = {
    {DType::q4_0, &LaneImprovers::q4_0, 0.100},     {DType::q4_1, &LaneImprovers::q4_1, 0.180},
    {DType::q5_0, &LaneImprovers::q5_0, 0.100},     {DType::q5_1, &LaneImprovers::q5_1, 0.170},
    {DType::q8_0, &LaneImprovers::q8_0, 0.120},     {DType::q2_k, &LaneImprovers::q2_k, 0.190},
    {DType::q3_k, &LaneImprovers::q3_k, 0.085},     {DType::q4_k, &LaneImprovers::q4_k, 0.030},
    {DType::q5_k, &LaneImprovers::q5_k, 0.070},     {DType::q6_k, &LaneImprovers::q6_k, 0.055},
    {DType::iq4_nl, &LaneImprovers::iq4_nl, 0.060}, {DType::iq4_xs, &LaneImprovers::iq4_xs, 0.060},
};

std::string encode(const Row& row, const std::vector<float>& values, std::size_t cols, const float* weights) {
  std::string out(type_info(row.type).bytes_for(values.size()), '\0');
  find_encoder(row.type)->encode_rows(values.data(), reinterpret_cast<std::byte*>(out.data()),
                                      values.size() / cols, cols, weights);
  return out;
}

std::string improve(const Row& row, Isa isa, std::string bytes, const std::vector<float>& values,
                    std::size_t cols, const float* weights) {
  (lane_improvers(isa).*row.improve)(values.data(), reinterpret_cast<std::byte*>(bytes.data()),
                                     values.size() / cols, cols, weights);
  return bytes;
}

/// Of each block, as the decoder gives it.
std::vector<double> errors(const Row& row, const std::string& bytes, const std::vector<float>& values,
                           std::size_t cols, const float* weights) {
  const TypeInfo& info = type_info(row.type);
  std::vector<float> decoded(values.size());
  info.decode(reinterpret_cast<const std::byte*>(bytes.data()), decoded.data(), decoded.size());
  std::vector<double> sums(values.size() / info.block_length);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double off = static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
    sums[i / info.block_length] +=
        (weights == nullptr ? 1.0 : static_cast<double>(weights[i % cols])) * off * off;
  }
  return sums;
}

std::vector<float> importance(std::size_t cols, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> weights(cols);
  for (float& weight : weights) weight = random() % 64 == 0 ? 0.0F : std::pow(normal(random), 2.0F);
  std::fill_n(weights.begin() + 32, 32, 0.0F);  // a group that counts nothing
  return weights;
}

TEST(BetterSearch, no_block_is_worse_than_the_reference_and_all_paths_agree) {
  constexpr std::size_t cols = 5 * std::size_t{256};
  std::mt19937_64 random(12);
  std::vector<float> values(7 * cols);
  const std::vector<float> weights = importance(cols, random);
  for (const Kind kind : lane_kinds) {
    fill(values, kind, random);
    for (const Row& row : rows) {
      const std::string what =
          std::string(type_info(row.type).name) + ", kind " + std::to_string(static_cast<int>(kind));
      for (const float* given : {static_cast<const float*>(nullptr), weights.data()}) {
        if (given != nullptr && find_encoder(row.type)->importance == Importance::unused) continue;
        const std::string reference = encode(row, values, cols, given);
        const std::string better = improve(row, Isa::scalar, reference, values, cols, given);
        const std::vector<double> before = errors(row, reference, values, cols, given);
        const std::vector<double> after = errors(row, better, values, cols, given);
        for (std::size_t block = 0; block < before.size(); ++block)
          // Scales too large for F16 are refused where tensors are written.
          ASSERT_TRUE(!std::isfinite(before[block]) || after[block] <= before[block])
              << what << ", block " << block << ": " << before[block] << " became " << after[block];
        for (const Isa isa : available_isas()) {
          test::expect_same_blocks(better, improve(row, isa, reference, values, cols, given),
                                   type_info(row.type).block_bytes,
                                   what + ", " + std::string(to_string(isa)));
        }
        EXPECT_EQ(better, improve(row, active_isa(), better, values, cols, given)) << what << ": again";
      }
    }
  }
}

TEST(BetterSearch, is_clearly_better_for_weights_of_a_model) {
  constexpr std::size_t cols = 2048;
  std::mt19937_64 random(13);
  std::vector<float> values(32 * cols);
  fill(values, Kind::weights, random);
  std::vector<float> weights(cols);
  for (float& weight : weights) weight = std::exp(std::normal_distribution<float>()(random));
  for (const Row& row : rows) {
    ASSERT_NE(find_improver(row.type), nullptr);
    for (const float* given :
         {static_cast<const float*>(nullptr), static_cast<const float*>(weights.data())}) {
      const std::string reference = encode(row, values, cols, given);
      const auto total = [&](const std::string& bytes) {
        double sum = 0;
        for (const double error : errors(row, bytes, values, cols, given)) sum += error;
        return sum;
      };
      const double gain =
          1 - total(improve(row, active_isa(), reference, values, cols, given)) / total(reference);
      if (given == nullptr) {
        EXPECT_GT(gain, row.gain) << type_info(row.type).name;
      } else {
        EXPECT_GT(gain, 0.02) << type_info(row.type).name << ", weighted";
      }
    }
  }
  EXPECT_EQ(find_improver(DType::iq3_s), nullptr);
}

}  // namespace
}  // namespace galatea
