#include "converter/lora_vocabulary.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "converter/convert.h"
#include "converter/lora_merge.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path miniature(const char* name) { return test::test_data("miniature") / name; }

Tensor tensor_of(const std::string& name, Shape shape, float value) {
  Tensor tensor;
  tensor.name = name;
  const std::vector<float> values(element_count(shape), value);
  tensor.data = memory_rows(values, shape[0], shape[1]);
  tensor.shape = std::move(shape);
  return tensor;
}

/// An adapter that brings embedding and head of `rows` tokens, all 0.5 and -0.5, and a tokenizer of as many.
class OtherVocabulary : public ::testing::Test {
 protected:
  void save(std::uint64_t rows) {
    std::vector<Tensor> tensors = {tensor_of("base_model.model.model.embed_tokens.weight", {rows, dim}, 0.5F),
                                   tensor_of("base_model.model.lm_head.weight", {rows, dim}, -0.5F)};
    write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
               folder / "adapter_model.safetensors", {});
    test::write_bytes(folder / "adapter_config.json",
                      R"({"r": 2, "lora_alpha": 4, "modules_to_save": ["embed_tokens", "lm_head"]})");
    test::write_bytes(folder / "added_tokens.json", json{{"[PAD]", rows - 1}}.dump());
  }
  MergeResult merge(const std::optional<VocabularyRule>& rule, std::uint64_t pad_to = 1) {
    model = hf_model(base);
    MergeOptions options{.type = DType::f32, .vocabulary = rule, .pad_to = pad_to};
    return merge_adapters(model, {{read_lora_adapter(folder.path()), 1}}, options);
  }
  std::vector<float> row(const char* name, std::uint64_t index) {
    const Tensor& tensor = *find_tensor(model, name);
    std::vector<float> values(tensor.data->cols());
    tensor.data->read_f32(index, 1, values);
    return values;
  }

  const Checkpoint base = Checkpoint::open(miniature("base-hf"));
  const std::uint64_t own = base.config().vocab_size, dim = base.config().hidden_size;
  test::TempFolder folder;
  HfModel model;
};

TEST_F(OtherVocabulary, without_a_rule_the_difference_is_explained) {
  save(own + 1);
  const Error error = test::error_of([&] { merge({}); });
  const std::string text = error.what();
  EXPECT_NE(text.find(std::to_string(own) + " tokens, as the base has"), std::string::npos) << text;
  EXPECT_NE(text.find(std::to_string(own + 1) + " tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("--vocab grow"), std::string::npos) << text;
}

TEST_F(OtherVocabulary, grows_to_the_adapters) {
  save(own + 1);
  const MergeResult result = merge(VocabularyRule::grow);
  EXPECT_EQ(model.config.vocab_size, own + 1);
  EXPECT_EQ(find_tensor(model, "lm_head.weight")->shape, (Shape{own + 1, dim}));
  EXPECT_EQ(row("model.embed_tokens.weight", own), std::vector<float>(dim, 0.5F));
  EXPECT_TRUE(result.adapter_tokenizer);
  EXPECT_EQ(result.notes.size(), 1U);
}

TEST_F(OtherVocabulary, keep_and_trim_leave_the_adapters_tokens_out) {
  save(own + 1);
  for (const VocabularyRule rule : {VocabularyRule::keep, VocabularyRule::trim}) {
    const MergeResult result = merge(rule);
    EXPECT_EQ(model.config.vocab_size, own);
    EXPECT_EQ(row("lm_head.weight", own - 1), std::vector<float>(dim, -0.5F));
    EXPECT_FALSE(result.adapter_tokenizer);
  }
}

TEST_F(OtherVocabulary, a_smaller_adapter) {
  save(own - 3);
  const HfModel before = hf_model(base);
  const std::vector<float> last = [&] {
    HfModel copy = before;
    std::vector<float> values(dim);
    find_tensor(copy, "lm_head.weight")->data->read_f32(own - 1, 1, values);
    return values;
  }();
  merge(VocabularyRule::keep);
  EXPECT_EQ(row("lm_head.weight", own - 4), std::vector<float>(dim, -0.5F));
  EXPECT_EQ(row("lm_head.weight", own - 1), last);
  merge(VocabularyRule::grow);
  EXPECT_EQ(model.config.vocab_size, own);
  merge(VocabularyRule::trim);
  EXPECT_EQ(model.config.vocab_size, own - 3);
}

TEST_F(OtherVocabulary, padding_is_the_mean_of_the_rows) {
  save(own);
  merge({}, 100);
  EXPECT_EQ(model.config.vocab_size % 100, 0U);
  EXPECT_GT(model.config.vocab_size, own);
  EXPECT_EQ(row("model.embed_tokens.weight", own), std::vector<float>(dim, 0.5F));
}

TEST_F(OtherVocabulary, files_beside_the_weights_are_in_step) {
  save(own + 1);
  merge(VocabularyRule::grow);
  const test::TempFolder out;
  ConvertOptions options{.target = ConvertTarget::safetensors, .type = DType::f16};
  options.tokenizer_folder = folder.path();
  write_plan(convert_model(base, model, options).plan, out.path(), {});
  EXPECT_EQ(json::parse(test::read_bytes(out / "config.json")).at("vocab_size"), own + 1);
  EXPECT_EQ(test::read_bytes(out / "added_tokens.json"), test::read_bytes(folder / "added_tokens.json"));
  EXPECT_NO_THROW(hf_model(Checkpoint::open(out.path())));
  options.target = ConvertTarget::gguf;
  write_file(convert_model(base, model, options).plan.files.front(), out / "model.gguf", {});
  const Checkpoint gguf = Checkpoint::open(out / "model.gguf");
  EXPECT_EQ(gguf.config().vocab_size, own + 1);
  EXPECT_EQ(gguf.gguf()->get_strings("tokenizer.ggml.tokens")->back(), "[PAD]");
}

// Tokens that the adapter's tokenizer has and its weights have not.
TEST_F(OtherVocabulary, tokens_without_weights) {
  const std::vector<Tensor> tensors = {
      tensor_of("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {2, dim}, 1.0F),
      tensor_of("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", {dim, 2}, 0.25F)};
  write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
             folder / "adapter_model.safetensors", {});
  test::write_bytes(folder / "adapter_config.json",
                    R"({"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"],
                        "layers_to_transform": [0]})");
  test::write_bytes(folder / "added_tokens.json", json{{"[PAD]", own}}.dump());
  MergeResult result = merge({});
  EXPECT_EQ(model.config.vocab_size, own);
  EXPECT_FALSE(result.adapter_tokenizer);
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_NE(result.notes[0].find("--vocab grow adds rows"), std::string::npos) << result.notes[0];
  result = merge(VocabularyRule::grow);
  EXPECT_EQ(model.config.vocab_size, own + 1);
  EXPECT_TRUE(result.adapter_tokenizer);
  HfModel before = hf_model(base);
  const std::vector<float> all = read_all_f32(*find_tensor(before, "model.embed_tokens.weight"));
  double mean = 0;
  for (std::size_t i = 0; i < all.size(); i += dim) mean += double{all[i]};
  EXPECT_FLOAT_EQ(row("model.embed_tokens.weight", own)[0],
                  static_cast<float>(mean / static_cast<double>(own)));
}

/// Low-rank pairs of ones and quarters: 0.5 more everywhere.
class ProductsForOtherVocabulary : public OtherVocabulary {
 protected:
  void save_products(std::uint64_t embedding_rows, std::uint64_t head_rows) {
    const std::vector<Tensor> tensors = {
        tensor_of("base_model.model.model.embed_tokens.lora_embedding_A", {2, embedding_rows}, 1.0F),
        tensor_of("base_model.model.model.embed_tokens.lora_embedding_B", {dim, 2}, 0.25F),
        tensor_of("base_model.model.lm_head.lora_A.weight", {2, dim}, 1.0F),
        tensor_of("base_model.model.lm_head.lora_B.weight", {head_rows, 2}, 0.25F)};
    write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
               folder / "adapter_model.safetensors", {});
    test::write_bytes(folder / "adapter_config.json", R"({"r": 2, "lora_alpha": 2})");
  }
  /// Embedding and head together: row `index` is that of the base and `more`.
  void expect_rows(std::uint64_t index, float more) {
    HfModel before = hf_model(base);
    for (const char* const name : {"model.embed_tokens.weight", "lm_head.weight"}) {
      std::vector<float> values(dim);
      find_tensor(before, name)->data->read_f32(index, 1, values);
      for (float& value : values) value += more;
      EXPECT_EQ(row(name, index), values) << name << ", row " << index;
    }
  }
};

TEST_F(ProductsForOtherVocabulary, more_tokens_than_the_base_has) {
  save_products(own + 2, own + 2);
  EXPECT_THROW(merge({}), Error);
  merge(VocabularyRule::grow);
  const std::vector<float> new_row = row("lm_head.weight", own + 1);
  HfModel before = hf_model(base);
  std::vector<double> mean(dim, 0.0);
  const std::vector<float> all = read_all_f32(*find_tensor(before, "lm_head.weight"));
  for (std::size_t i = 0; i < all.size(); ++i) mean[i % dim] += double{all[i]};
  for (std::size_t c = 0; c < dim; ++c)
    EXPECT_FLOAT_EQ(new_row[c], static_cast<float>(mean[c] / static_cast<double>(own)) + 0.5F);
  expect_rows(own - 1, 0.5F);
  for (const VocabularyRule rule : {VocabularyRule::keep, VocabularyRule::trim}) {
    merge(rule);
    EXPECT_EQ(model.config.vocab_size, own);
    expect_rows(0, 0.5F);
    expect_rows(own - 1, 0.5F);
  }
}

TEST_F(ProductsForOtherVocabulary, fewer_tokens_than_the_base_has) {
  save_products(own - 2, own - 2);
  for (const VocabularyRule rule : {VocabularyRule::keep, VocabularyRule::grow}) {
    merge(rule);
    EXPECT_EQ(model.config.vocab_size, own);
    expect_rows(own - 3, 0.5F);
    expect_rows(own - 2, 0.0F);
    expect_rows(own - 1, 0.0F);
  }
  merge(VocabularyRule::trim);
  EXPECT_EQ(model.config.vocab_size, own - 2);
  EXPECT_EQ(find_tensor(model, "lm_head.weight")->shape, (Shape{own - 2, dim}));
  expect_rows(own - 3, 0.5F);
}

TEST_F(ProductsForOtherVocabulary, of_two_sizes_are_refused) {
  save_products(own + 2, own + 1);
  const Error error = test::error_of([&] { merge(VocabularyRule::grow); });
  const std::string text = error.what();
  EXPECT_NE(text.find("vocabularies of different sizes"), std::string::npos) << text;
  EXPECT_NE(text.find("lora_embedding_A"), std::string::npos) << text;
  EXPECT_NE(text.find(std::to_string(own + 1)), std::string::npos) << text;
}

}  // namespace
}  // namespace galatea
