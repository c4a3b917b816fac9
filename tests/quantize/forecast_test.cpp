#include "quantize/forecast.h"

#include <gtest/gtest.h>

#include <limits>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

constexpr std::uint64_t cols = 1024;

GgufModel model_of(std::uint64_t rows, float at_end = 0.5F) {
  GgufModel model{{{"general.architecture", std::string("llama")}, {"general.file_type", std::uint32_t{0}}},
                  {}};
  for (const char* name : {"token_embd.weight", "blk.0.ffn_up.weight", "output.weight"}) {
    std::vector<float> values(rows * cols);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) / 97.0F - 0.5F;
    if (model.tensors.size() == 1) values.back() = at_end;
    model.tensors.push_back({name, {rows, cols}, memory_rows(values, rows, cols), {}, 0});
  }
  return model;
}

QuantizationPlan plan_of(std::uint64_t rows, float at_end = 0.5F) {
  QuantizeOptions options;
  options.mix.named = find_mix("Q4_K_S");
  return plan_quantization(model_of(rows, at_end), "m.gguf", options);
}

TEST(Forecast, memory_grows_with_threads_and_pieces_and_with_the_rows_only_slowly) {
  const QuantizationPlan small = plan_of(64), large = plan_of(4096);
  WriteOptions one, four;
  one.threads = 1;
  four.threads = 4;
  EXPECT_GT(peak_memory(large, four), peak_memory(large, one));
  WriteOptions pieces = one;
  pieces.chunk_bytes /= 8;
  EXPECT_LT(peak_memory(large, pieces), peak_memory(large, one));
  // 64 times the rows in three tensors: the weights are 48 MiB, the errors of the rows 16 bytes each.
  EXPECT_LT(peak_memory(large, pieces), peak_memory(small, pieces) + (std::uint64_t{2} << 20U));
}

TEST(Forecast, a_ceiling_makes_pieces_smaller_and_then_threads_fewer) {
  const QuantizationPlan plan = plan_of(4096);
  WriteOptions free;
  free.threads = 8;
  const std::uint64_t wanted = peak_memory(plan, free);
  for (const std::uint64_t limit : {wanted, wanted - 1, std::uint64_t{40} << 20U, std::uint64_t{32} << 20U}) {
    WriteOptions fitted = free;
    fit_into_memory(plan, limit, fitted);
    EXPECT_LE(peak_memory(plan, fitted), limit);
    EXPECT_EQ(fitted.threads == 8 && fitted.chunk_bytes == free.chunk_bytes, limit == wanted);
  }
  WriteOptions fitted = free;
  fit_into_memory(plan, std::uint64_t{32} << 20U, fitted);
  EXPECT_LT(fitted.threads, 8);
  EXPECT_THROW(fit_into_memory(plan, std::uint64_t{1} << 20U, fitted), Error);
}

TEST(Forecast, more_work_takes_longer) {
  WriteOptions options;
  options.threads = 1;
  const double small = expected_seconds(plan_of(64), options);
  const double large = expected_seconds(plan_of(4096), options);
  EXPECT_GT(small, 0);
  EXPECT_GT(large, 4 * small);
  EXPECT_LT(large, 60);
}

TEST(Forecast, values_that_are_not_finite_are_found_with_their_place) {
  EXPECT_NO_THROW(require_finite_sources(plan_of(2000), silent_progress()));
  const Error error = test::error_of([&] {
    require_finite_sources(plan_of(2000, std::numeric_limits<float>::infinity()), silent_progress());
  });
  const std::string text = error.what();
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_NE(text.find("row 1999, column 1023"), std::string::npos) << text;
  EXPECT_NE(text.find("blk.0.ffn_up.weight"), std::string::npos) << text;
}

TEST(Forecast, values_that_are_not_finite_are_found_in_every_type_by_its_bits) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::vector<float> values(300 * 64, 65504.0F);
      QuantizationPlan plan;
      plan.tensors.emplace_back();
      plan.tensors[0].name = "w";
      plan.tensors[0].source = cast_rows(memory_rows(values, 300, 64), type);
      EXPECT_NO_THROW(require_finite_sources(plan, silent_progress()));
      values[299 * 64 + 63] = bad;
      plan.tensors[0].source = cast_rows(memory_rows(values, 300, 64), type);
      EXPECT_THROW(require_finite_sources(plan, silent_progress()), Error) << type_info(type).name;
    }
  }
}

}  // namespace
}  // namespace galatea
