#include "quantize/quantize_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

Tensor tensor(const std::string& name, const Shape& shape, DType type = DType::f16) {
  const MatrixShape matrix = matrix_shape(shape, DType::f32);
  const std::vector<float> values = random_values(element_count(shape), static_cast<unsigned>(name.size()));
  return {name, shape, cast_rows(memory_rows(values, matrix.rows, matrix.cols), type), {}, 0};
}

GgufModel small_model(bool with_output = true) {
  GgufModel model{{{"general.architecture", std::string("llama")}, {"general.file_type", std::uint32_t{0}}},
                  {}};
  model.tensors = {tensor("token_embd.weight", {40, 64}), tensor("output_norm.weight", {64}, DType::bf16)};
  if (with_output) model.tensors.push_back(tensor("output.weight", {40, 64}));
  model.tensors.push_back(tensor("blk.0.attn_norm.weight", {64}));
  model.tensors.push_back(tensor("blk.0.attn_q.weight", {64, 64}, DType::f32));
  model.tensors.push_back(tensor("blk.0.ffn_down.weight", {64, 33}));
  return model;
}

DType type_of(const QuantizationPlan& plan, std::string_view name) {
  for (const QuantizedTensor& tensor : plan.tensors) {
    if (tensor.name == name) return tensor.to;
  }
  ADD_FAILURE() << name;
  return DType::boolean;
}

std::string bytes_of(const FileLayout& layout, int threads, std::uint64_t chunk) {
  WriteOptions options;
  options.threads = threads;
  options.chunk_bytes = chunk;
  std::string out;
  stream_layout(layout, options, [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return out;
}

QuantizeOptions options_for(std::string_view mix) {
  QuantizeOptions options;
  options.mix.named = find_mix(mix);
  options.fallback = true;
  return options;
}

TEST(QuantizeModel, rows_that_are_no_whole_blocks_fall_back_where_that_is_allowed) {
  QuantizeOptions options = options_for("Q4_0");
  const QuantizationPlan plan = plan_quantization(small_model(), "m.gguf", options);
  EXPECT_EQ(type_of(plan, "token_embd.weight"), DType::q4_0);
  EXPECT_EQ(type_of(plan, "output.weight"), DType::q8_0);  // 64 columns, Q6_K needs 256
  EXPECT_EQ(type_of(plan, "output_norm.weight"), DType::f32);
  EXPECT_EQ(type_of(plan, "blk.0.attn_norm.weight"), DType::f32);
  EXPECT_EQ(type_of(plan, "blk.0.attn_q.weight"), DType::q4_0);
  EXPECT_EQ(type_of(plan, "blk.0.ffn_down.weight"), DType::f16);  // 33 columns
  ASSERT_EQ(plan.notes.size(), 2U);
  EXPECT_NE(plan.notes[1].find("blk.0.ffn_down.weight"), std::string::npos);
  EXPECT_NE(plan.notes[1].find("Q4_0 -> F16"), std::string::npos);
  EXPECT_EQ(type_of(plan_quantization(small_model(false), "m.gguf", options), "token_embd.weight"),
            DType::q8_0);

  options.fallback = false;
  const Error error = test::error_of([&] { plan_quantization(small_model(), "m.gguf", options); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  const std::string text = error.what();
  EXPECT_NE(text.find("Q4_0 -> F16: 1 tensor of 33 columns (blk.0.ffn_down.weight)"), std::string::npos)
      << text;
  EXPECT_NE(text.find("Q6_K -> Q8_0: 1 tensor of 64 columns (output.weight)"), std::string::npos) << text;
  EXPECT_NE(text.find("--fallback"), std::string::npos) << text;
}

TEST(QuantizeModel, what_is_asked_for_comes_before_the_rules) {
  QuantizeOptions options = options_for("Q4_0");
  options.mix.pure = true;
  EXPECT_EQ(type_of(plan_quantization(small_model(), "m.gguf", options), "output.weight"), DType::q4_0);
  options.mix.output_type = DType::bf16;
  options.mix.embedding_type = DType::q5_1;
  EXPECT_EQ(type_of(plan_quantization(small_model(), "m.gguf", options), "output.weight"), DType::bf16);
  EXPECT_EQ(type_of(plan_quantization(small_model(), "m.gguf", options), "token_embd.weight"), DType::q5_1);
  options = options_for("BF16");
  EXPECT_EQ(type_of(plan_quantization(small_model(), "m.gguf", options), "output.weight"), DType::bf16);
}

TEST(QuantizeModel, every_type_is_planned_to_the_byte_and_written_the_same_on_any_threads) {
  for (const NamedMix& mix : all_mixes()) {
    if (mix.type == DType::iq2_xs || mix.type == DType::iq2_xxs || mix.type == DType::iq2_s ||
        mix.type == DType::iq1_s || mix.type == DType::iq1_m || mix.name == "Q2_K_S" ||
        mix.name == "IQ3_XXS") {
      continue;  // not without importance
    }
    const QuantizeOptions options = options_for(mix.name);
    const QuantizationPlan plan = plan_quantization(small_model(), "m.gguf", options);
    const std::string one = bytes_of(plan.files.front(), 1, 1U << 20U);
    EXPECT_EQ(one.size(), plan.files.front().size()) << mix.name;
    EXPECT_EQ(one, bytes_of(plan.files.front(), 4, 100)) << mix.name;

    const GgufFile file = GgufFile::read(memory_source(one, "m.gguf"));
    EXPECT_EQ(file.get_unsigned("general.file_type"), mix.file_type);
    ASSERT_EQ(file.tensors().size(), plan.tensors.size());
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
      EXPECT_EQ(file.tensors()[i].name, plan.tensors[i].name);
      EXPECT_EQ(file.tensors()[i].shape, plan.tensors[i].shape);
      EXPECT_EQ(file.tensors()[i].type(), plan.tensors[i].to);
      EXPECT_EQ(file.tensors()[i].bytes(), plan.tensors[i].bytes);
    }
  }
}

TEST(QuantizeModel, errors_are_there_once_it_is_written) {
  QuantizeOptions options = options_for("Q5_0");
  const QuantizationPlan plan = plan_quantization(small_model(), "m.gguf", options);
  bytes_of(plan.files.front(), 2, 4096);
  for (const QuantizedTensor& tensor : plan.tensors) {
    if (type_info(tensor.to).quantized()) {
      ASSERT_NE(tensor.error, nullptr);
      EXPECT_GT(tensor.error->relative_error(), 1e-4) << tensor.name;
      EXPECT_LT(tensor.error->relative_error(), 0.06) << tensor.name;
    } else if (tensor.error != nullptr) {
      EXPECT_EQ(tensor.error->relative_error(), 0.0) << tensor.name;
    }
  }
  EXPECT_GT(plan.bits_per_weight(), 5.5);
  EXPECT_LT(plan.bits_per_weight(), 11.0);
}

TEST(QuantizeModel, quantized_sources_need_leave) {
  QuantizeOptions options = options_for("Q8_0");
  const QuantizationPlan first = plan_quantization(small_model(), "m.gguf", options);
  const GgufFile file = GgufFile::read(memory_source(bytes_of(first.files.front(), 1, 1U << 20U), "m.gguf"));
  const GgufModel again{file.metadata(), file.tensors()};
  options.mix.named = find_mix("Q4_1");
  EXPECT_THROW(plan_quantization(again, "m.gguf", options), Error);
  options.allow_requantize = true;
  EXPECT_NO_THROW(plan_quantization(again, "m.gguf", options));
  options.allow_requantize = false;
  options.mix.named = find_mix("Q8_0");  // nothing to do: the same bytes
  const QuantizationPlan same = plan_quantization(again, "m.gguf", options);
  EXPECT_EQ(bytes_of(same.files.front(), 1, 1U << 20U), bytes_of(first.files.front(), 1, 1U << 20U));
}

TEST(QuantizeModel, types_without_an_encoder_are_refused) {
  QuantizeOptions options = options_for("Q4_0");
  options.mix.output_type = DType::f8_e4m3;
  EXPECT_THROW(plan_quantization(small_model(), "m.gguf", options), Error);
}

TEST(QuantizeModel, a_damaged_weight_is_named) {
  GgufModel model = small_model();
  std::vector<float> values = random_values(64 * 64, 5);
  values[10 * 64 + 3] = std::numeric_limits<float>::infinity();
  model.tensors.push_back({"blk.0.attn_k.weight", {64, 64}, memory_rows(values, 64, 64), {}, 0});
  QuantizeOptions options = options_for("Q4_0");
  const QuantizationPlan plan = plan_quantization(std::move(model), "m.gguf", options);
  const Error error = test::error_of([&] { bytes_of(plan.files.front(), 2, 4096); });
  EXPECT_EQ(error.tensor_name(), "blk.0.attn_k.weight");
  EXPECT_NE(std::string(error.what()).find("row 10, column 3"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace galatea
