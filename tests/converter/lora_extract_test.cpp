// An adapter made of the difference of two models, and merged again.
#include "converter/lora_extract.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "converter/lora_merge.h"
#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path miniature(const char* name) { return test::test_data("miniature") / name; }

class LoraExtract : public ::testing::Test {
 protected:
  HfModel base() const { return hf_model(Checkpoint::open(miniature("base-hf"))); }

  /// The miniature's base with its adapter, rounded to `type`.
  HfModel merged(DType type, double scale = 1) const {
    HfModel model = base();
    merge_adapters(model, {{read_lora_adapter(miniature("adapter")), scale}}, {.type = type});
    for (Tensor& tensor : model.tensors) {  // computed once
      std::vector<std::byte> bytes(tensor.bytes());
      tensor.data->read(0, tensor.data->rows(), bytes);
      tensor.data = memory_rows(std::move(bytes), tensor.type(), tensor.data->rows(), tensor.data->cols());
    }
    return model;
  }

  /// Factors in memory and the adapter as files.
  Extraction extract(const HfModel& before, const HfModel& after, const ExtractOptions& options) {
    Extraction extraction = compare_models(before, after, options);
    std::vector<FactorRows> factors(extraction.tensors.size());
    compute_factors(
        extraction, [&](std::size_t i, const std::vector<float>& down, const std::vector<float>& up) {
          const std::uint64_t rank = extraction.tensors[i].rank;
          factors[i] = {memory_rows(down, rank, down.size() / rank), memory_rows(up, up.size() / rank, rank)};
        });
    write_plan(adapter_plan(extraction, factors), folder.path(), {.overwrite = true});
    return extraction;
  }
  LoraAdapter adapter() const { return read_lora_adapter(folder.path()); }
  json config() const { return json::parse(test::read_bytes(folder / "adapter_config.json")); }

  static std::vector<float> values(HfModel& model, const std::string& name) {
    return read_all_f32(*find_tensor(model, name));
  }
  static void set(HfModel& model, const std::string& name, const std::vector<float>& values) {
    Tensor& tensor = *find_tensor(model, name);
    tensor.data = memory_rows(values, tensor.data->rows(), tensor.data->cols());
  }

  test::TempFolder folder;
};

TEST_F(LoraExtract, of_a_merge_in_float32_gives_the_merge_again) {
  HfModel after = merged(DType::f32);
  const Extraction extraction = extract(base(), after, {.rank = 8});
  EXPECT_EQ(extraction.tensors.size(), 15U);
  for (const ExtractedTensor& one : extraction.tensors) EXPECT_LT(one.error.relative(), 1e-5) << one.name;
  HfModel again = base();
  EXPECT_EQ(merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32}).tensors.size(), 15U);
  for (const Tensor& tensor : again.tensors) {
    const std::vector<float> found = read_all_f32(tensor), expected = values(after, tensor.name);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-7) << tensor.name;
  }
}

// What a merge rounded to a half is a little noise in every singular vector: a product of rank 8 takes some of it along.
TEST_F(LoraExtract, of_a_merge_in_float16_gives_it_again_within_a_step) {
  HfModel after = merged(DType::f16);
  extract(base(), after, {.rank = 8});
  HfModel again = base();
  merge_adapters(again, {{adapter(), 1}}, {.type = DType::f16});
  std::size_t total = 0, other = 0;
  for (const Tensor& tensor : again.tensors) {
    const std::vector<float> found = read_all_f32(tensor), expected = values(after, tensor.name);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ++total;
      if (found[i] == expected[i]) continue;
      ++other;
      const float step = std::max(std::fabs(expected[i]), 0.0625F) / 1024.0F;  // of float16
      ASSERT_LE(std::fabs(found[i] - expected[i]), step);
    }
  }
  EXPECT_LT(other, total / 4);
  EXPECT_GT(other, 0U);
}

TEST_F(LoraExtract, has_the_same_bytes_with_any_number_of_threads) {
  const HfModel before = base(), after = merged(DType::f16);
  const int threads = omp_get_max_threads();
  std::vector<std::string> bytes;
  for (const int count : {1, 3}) {
    omp_set_num_threads(count);
    extract(before, after, {.rank = 4});
    bytes.push_back(test::read_bytes(folder / "adapter_model.safetensors"));
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST_F(LoraExtract, names_and_shapes_are_those_of_peft) {
  extract(base(), merged(DType::f32), {.rank = 8, .base_name = "base-hf"});
  const Checkpoint made = Checkpoint::open(folder / "adapter_model.safetensors");
  const Checkpoint peft = Checkpoint::open(miniature("adapter") / "adapter_model.bin");
  ASSERT_EQ(made.tensors().size(), peft.tensors().size());
  for (const Tensor& tensor : peft.tensors()) {
    const Tensor* const found = made.find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(found->type(), DType::f32);
  }
  const json expected = json::parse(test::read_bytes(miniature("adapter") / "adapter_config.json"));
  const json written = config();
  for (const auto& [key, value] : written.items()) {
    if (key == "lora_alpha") continue;  // the scaling is in the factors
    EXPECT_TRUE(expected.contains(key)) << key;
    if (key == "target_modules") {
      EXPECT_EQ(value.get<std::set<std::string>>(), expected.at(key).get<std::set<std::string>>());
    } else {
      EXPECT_EQ(value, expected.at(key)) << key;
    }
  }
}

TEST_F(LoraExtract, a_smaller_rank_misses_more_and_a_half_type_a_little) {
  const HfModel before = base(), after = merged(DType::f32);
  const auto missed = [&](const ExtractOptions& options) {
    double squares = 0;
    for (const ExtractedTensor& one : extract(before, after, options).tensors)
      squares += one.error.missed * one.error.missed;
    return std::sqrt(squares);
  };
  const double whole = missed({.rank = 8}), half = missed({.rank = 8, .type = DType::f16}),
               four = missed({.rank = 4});
  EXPECT_LT(whole, half);
  EXPECT_LT(half, four);
}

TEST_F(LoraExtract, a_rank_above_the_matrix_becomes_that_of_the_matrix) {
  HfModel after = merged(DType::f32);
  const Extraction extraction = extract(base(), after, {.rank = base().config.hidden_size + 6});
  const json ranks = config().at("rank_pattern");
  EXPECT_EQ(ranks.size(), extraction.tensors.size());
  EXPECT_EQ(ranks, config().at("alpha_pattern"));
  HfModel again = base();
  merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32});
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const std::vector<float> found = values(again, name), expected = values(after, name);
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 4e-7);
}

TEST_F(LoraExtract, single_modules_are_named_whole_and_norms_are_saved) {
  HfModel after = base();
  std::vector<float> q = values(after, "model.layers.1.self_attn.q_proj.weight");
  for (std::size_t i = 0; i < q.size(); ++i) q[i] += static_cast<float>(i % 5) * 0.01F;
  set(after, "model.layers.1.self_attn.q_proj.weight", q);
  std::vector<float> norm = values(after, "model.norm.weight");
  norm[3] += 0.5F;
  set(after, "model.norm.weight", norm);
  extract(base(), after, {.rank = 2});
  EXPECT_EQ(config().at("target_modules"), json({"model.layers.1.self_attn.q_proj"}));
  EXPECT_EQ(config().at("modules_to_save"), json({"model.norm"}));
  HfModel again = base();
  const MergeResult result = merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32});
  EXPECT_EQ(result.tensors.size(), 2U);
  EXPECT_EQ(values(again, "model.norm.weight"), norm);
}

TEST_F(LoraExtract, biases_that_differ_are_stored) {
  const auto with_bias = [&](float value) {
    HfModel model = base();
    for (const char* const part : {"q_proj", "v_proj"}) {
      for (std::uint64_t layer = 0; layer < model.config.layers; ++layer) {
        Tensor bias;
        bias.name = "model.layers." + std::to_string(layer) + ".self_attn." + part + ".bias";
        bias.shape = {model.config.hidden_size};
        bias.data = memory_rows(std::vector<float>(bias.shape[0], value), bias.shape[0], 1);
        model.tensors.push_back(bias);
      }
    }
    return model;
  };
  HfModel after = with_bias(0.25F);
  std::vector<float> q = values(after, "model.layers.0.self_attn.q_proj.weight");
  for (float& value : q) value += 0.125F;
  set(after, "model.layers.0.self_attn.q_proj.weight", q);
  extract(with_bias(0), after, {.rank = 1});
  EXPECT_EQ(config().at("bias"), "all");
  const Checkpoint made = Checkpoint::open(folder / "adapter_model.safetensors");
  EXPECT_NE(made.find("base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias"), nullptr);
  EXPECT_NE(made.find("base_model.model.model.layers.1.self_attn.q_proj.bias"), nullptr);
  HfModel again = with_bias(0);
  merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32});
  for (const Tensor& tensor : after.tensors) {
    const std::vector<float> found = values(again, tensor.name), expected = read_all_f32(tensor);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-6) << tensor.name;
  }
}

TEST_F(LoraExtract, another_vocabulary_is_stored_whole) {
  HfModel after = merged(DType::f32);
  after.config.vocab_size += 3;
  for (const char* const name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    Tensor& tensor = *find_tensor(after, name);
    tensor.shape[0] += 3;
    tensor.data = with_row_count(tensor.data, tensor.shape[0]);
  }
  const Extraction extraction = extract(base(), after, {.rank = 8});
  ASSERT_EQ(extraction.notes.size(), 1U);
  HfModel again = base();
  merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32, .vocabulary = VocabularyRule::grow});
  EXPECT_EQ(values(again, "model.embed_tokens.weight"), values(after, "model.embed_tokens.weight"));
  EXPECT_EQ(values(again, "lm_head.weight"), values(after, "lm_head.weight"));
}

TEST_F(LoraExtract, a_tied_head_gets_factors_of_its_own) {
  const auto tied = [](HfModel model) {
    std::erase_if(model.tensors, [](const Tensor& tensor) { return tensor.name == "lm_head.weight"; });
    model.config.tied_embeddings = true;
    return model;
  };
  HfModel after = tied(merged(DType::f32));
  const Extraction extraction = extract(tied(base()), after, {.rank = 8});
  ASSERT_EQ(extraction.notes.size(), 1U);
  HfModel again = tied(base());
  merge_adapters(again, {{adapter(), 1}}, {.type = DType::f32});
  EXPECT_FALSE(again.config.tied_embeddings);
  const std::vector<float> expected = values(after, "model.embed_tokens.weight");
  for (const char* const name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    const std::vector<float> found = values(again, name);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-6) << name;
  }
}

TEST_F(LoraExtract, what_an_adapter_cannot_tell_is_refused) {
  EXPECT_NE(test::refusal_of([&] { compare_models(base(), base(), {.rank = 8}); }).find("do not differ"),
            std::string::npos);
  HfModel more = merged(DType::f32);
  more.tensors.push_back(more.tensors.back());
  more.tensors.back().name = "model.extra.weight";
  EXPECT_NE(test::refusal_of([&] { compare_models(base(), more, {.rank = 8}); }).find("model.extra.weight"),
            std::string::npos);
  HfModel theta = merged(DType::f32);
  theta.config.rope_theta = 5e5;
  EXPECT_NE(test::refusal_of([&] { compare_models(base(), theta, {.rank = 8}); }).find("rope_theta"),
            std::string::npos);
  HfModel norm = base();
  set(norm, "model.norm.weight", std::vector<float>(norm.config.hidden_size, 3.0F));
  EXPECT_NE(test::refusal_of([&] { compare_models(base(), norm, {.rank = 8}); }).find("model.norm.weight"),
            std::string::npos);
  HfModel nan = merged(DType::f32);
  std::vector<float> up = values(nan, "model.layers.0.mlp.up_proj.weight");
  up[77] = NAN;
  set(nan, "model.layers.0.mlp.up_proj.weight", up);
  EXPECT_NE(
      test::refusal_of([&] { extract(base(), nan, {.rank = 8}); }).find("model.layers.0.mlp.up_proj.weight"),
      std::string::npos);
  EXPECT_EQ(test::list_folder(folder.path()).size(), 0U);
}

}  // namespace
}  // namespace galatea
