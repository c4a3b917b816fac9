#include "converter/lora_merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "converter/convert.h"
#include "format/error.h"
#include "format/hash.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

/// What a merge of one adapter into `model` changed.
std::vector<MergedTensor> merge(HfModel& model, const LoraAdapter& adapter, double scale,
                                const MergeOptions& options = {.type = DType::f32}) {
  return merge_adapters(model, {{adapter, scale}}, options).tensors;
}

fs::path miniature(const char* name) { return test::test_data("miniature") / name; }

// Published: what torch 1.13 and PEFT 0.4 made of the same base and adapter.
TEST(LoraMerge, miniature_has_the_published_digests) {
  const Checkpoint base = Checkpoint::open(miniature("base-hf"));
  HfModel model = hf_model(base);
  const LoraAdapter adapter = read_lora_adapter(miniature("adapter"));
  EXPECT_EQ(merge(model, adapter, 1, {.type = DType::f16}).size(), 15U);
  ConvertOptions options{.target = ConvertTarget::bin, .type = DType::f16, .max_shard_bytes = 1'500'000};
  options.name_or_path = "base-hf";
  const test::TempFolder out;
  const auto written = write_plan(convert_model(base, std::move(model), options).plan, out.path(), {});
  std::map<std::string, std::string> digests;
  for (const WrittenFile& file : written) digests[file.name] = file.digests.at(HashKind::sha256);
  const json release = json::parse(test::read_bytes(miniature("release.json")));
  int compared = 0;
  for (const json& file : release.at("files")) {
    const std::string name = file.at("name");
    if (name == "tokenizer_config.json") continue;  // was loaded with padding_side="right" there
    EXPECT_EQ(digests[name], file.at("sha256").get<std::string>()) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 9);
}

TEST(LoraMerge, other_bases_give_the_same_weights) {
  const test::TempFolder folder;
  const Checkpoint hf = Checkpoint::open(miniature("base-hf"));
  write_file(convert(hf, {.target = ConvertTarget::gguf}).plan.files.front(), folder / "base.gguf", {});
  const LoraAdapter plain = read_lora_adapter(miniature("adapter"));
  LoraAdapter replicating = plain;
  replicating.config.replication = {{0, 2}, {1, hf.config().layers}};
  replicating.config.targets = {};  // which the third layer has none of
  for (const LoraAdapter& adapter : {plain, replicating}) {
    HfModel expected = hf_model(hf);
    merge(expected, adapter, 0.5);
    EXPECT_EQ(expected.config.layers, hf.config().layers + (adapter.config.replication.empty() ? 0 : 1));
    for (const fs::path& path : {folder / "base.gguf", miniature("meta")}) {
      const Checkpoint base = Checkpoint::open(path);
      HfModel model = hf_model(base);
      merge(model, adapter, 0.5);
      EXPECT_EQ(model.config.layers, expected.config.layers);
      for (const Tensor& tensor : model.tensors) {
        EXPECT_EQ(read_all_f32(tensor), read_all_f32(*find_tensor(expected, tensor.name))) << tensor.name;
      }
    }
  }
}

/// A copy of the miniature's adapter with changed configuration or tensors.
class ChangedAdapter : public ::testing::Test {
 protected:
  void SetUp() override {
    config = json::parse(test::read_bytes(miniature("adapter") / "adapter_config.json"));
    tensors = Checkpoint::open(miniature("adapter") / "adapter_model.bin").tensors();
  }

  Tensor& tensor(const std::string& end) {
    for (Tensor& t : tensors) {
      if (t.name.ends_with(end)) return t;
    }
    ADD_FAILURE() << end;
    return tensors.front();
  }

  void save() {
    test::write_bytes(folder / "adapter_config.json", config.dump());
    WriteOptions options;
    options.overwrite = true;
    write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
               folder / "adapter_model.safetensors", options);
  }

  std::string reading_error() {
    save();
    return test::refusal_of([&] { read_lora_adapter(folder.path()); });
  }
  std::string merging_error() {
    save();
    HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
    return test::refusal_of([&] { merge(model, read_lora_adapter(folder.path()), 1); });
  }

  test::TempFolder folder;
  json config;
  std::vector<Tensor> tensors;
};

TEST_F(ChangedAdapter, as_safetensors_with_the_adapters_name_is_read_alike) {
  for (Tensor& t : tensors) {
    const std::size_t weight = t.name.rfind(".weight");
    t.name = weight == std::string::npos ? t.name + ".default" : t.name.substr(0, weight) + ".default.weight";
  }
  save();
  const LoraAdapter adapter = read_lora_adapter(folder.path());
  ASSERT_EQ(adapter.targets.size(), 15U);
  EXPECT_EQ(adapter.targets[0].module, "model.embed_tokens");
  EXPECT_TRUE(adapter.targets[0].embedding);
  EXPECT_EQ(adapter.targets[0].scaling, 2.0);
}

TEST_F(ChangedAdapter, scaling_with_rslora) {
  config["use_rslora"] = true;
  EXPECT_DOUBLE_EQ(lora_config(config, "c").scaling_of("x"), 16.0 / std::sqrt(8.0));
}

TEST_F(ChangedAdapter, settings_that_are_not_understood_are_listed) {
  config["something_of_2030"] = 1;
  config["modules_to_save"] = {"lm_head"};
  const std::string text = merging_error();
  EXPECT_NE(text.find("something_of_2030 = 1"), std::string::npos) << text;
  EXPECT_NE(text.find("modules_to_save: lm_head"), std::string::npos) << text;
}

TEST_F(ChangedAdapter, settings_that_choose_nothing_are_listed) {
  config["rank_pattern"] = {{"w_proj", 8}};
  config["alpha_pattern"] = {{"q_proj", 16}};
  config["target_modules"].push_back("x_proj");
  const std::string text = merging_error();
  EXPECT_NE(text.find("rank_pattern: w_proj"), std::string::npos) << text;
  EXPECT_NE(text.find("target_modules: x_proj"), std::string::npos) << text;
  EXPECT_EQ(text.find("alpha_pattern"), std::string::npos) << text;
}

TEST_F(ChangedAdapter, what_is_unused_can_be_allowed) {
  config["something_of_2030"] = 1;
  save();
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  const MergeResult result = merge_adapters(model, {{read_lora_adapter(folder.path()), 1}},
                                            {.type = DType::f32, .allow_unused = true});
  EXPECT_EQ(result.tensors.size(), 15U);
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_NE(result.notes[0].find("something_of_2030 = 1"), std::string::npos);
}

TEST_F(ChangedAdapter, settings_that_make_no_sense_or_cannot_be_merged_are_refused) {
  for (const json& setting : {json{{"init_lora_weights", "pissa"}},
                              json{{"init_lora_weights", "pissa_niter_16"}},
                              json{{"init_lora_weights", "olora"}},
                              json{{"init_lora_weights", "corda"}},
                              json{{"init_lora_weights", "lora_ga"}},
                              json{{"init_lora_weights", "loftq"}},
                              json{{"init_lora_weights", "of_2030"}},
                              json{{"alora_invocation_tokens", {1, 2}}},
                              json{{"arrow_config", {{"top_k", 3}}}},
                              json{{"rank_pattern", {{"(", 4}}}},
                              json{{"rank_pattern", {{"q", 0}}}},
                              json{{"alpha_pattern", {{"q_proj", "4"}}}},
                              json{{"layer_replication", {{1, 0}}}},
                              json{{"layer_replication", {1}}},
                              json{{"enable_lora", {false}}},
                              json{{"use_dora", 3}},
                              json{{"target_modules", {1}}},
                              json{{"target_modules", "(?<=x)y"}},
                              json{{"layers_to_transform", {-1}}},
                              json{{"use_qalora", true}},
                              json{{"trainable_token_indices", {1.5}}},
                              json{{"peft_type", "IA3"}},
                              json{{"r", 0}},
                              json{{"r", 2.5}},
                              json{{"r", 1e12}},
                              json{{"r", nullptr}},
                              json{{"lora_alpha", nullptr}},
                              json{{"lora_alpha", "16"}}}) {
    json changed = config;
    changed.update(setting);
    EXPECT_THROW(lora_config(changed, "c"), Error) << setting;
  }
  for (const json& setting : {json{{"use_dora", false}}, json{{"rank_pattern", json::object()}},
                              json{{"bias", "none"}}, json{{"init_lora_weights", "gaussian"}},
                              json{{"layers_to_transform", {1}}}, json{{"merge_weights", true}}}) {
    json changed = config;
    changed.update(setting);
    EXPECT_TRUE(lora_config(changed, "c").unused.empty()) << setting;
  }
  EXPECT_THROW(lora_config(json::array(), "c"), Error);
}

TEST_F(ChangedAdapter, tensors_that_are_no_part_of_a_lora_are_listed) {
  tensors.push_back(tensors.front());
  tensors.back().name = "base_model.model.lm_head.hada_w1_a";
  EXPECT_NE(merging_error().find("base_model.model.lm_head.hada_w1_a"), std::string::npos);
}

TEST_F(ChangedAdapter, values_that_are_not_finite_fail_the_merge_by_name) {
  Tensor& up = tensor("layers.1.mlp.up_proj.lora_B.weight");
  std::vector<float> values = read_all_f32(up);
  values[5 * 8 + 3] = NAN;
  up.data = memory_rows(values, up.shape[0], up.shape[1]);
  save();
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  merge(model, read_lora_adapter(folder.path()), 1);
  const Tensor& merged = *find_tensor(model, "model.layers.1.mlp.up_proj.weight");
  std::vector<std::byte> row(merged.data->row_bytes());
  EXPECT_NO_THROW(merged.data->read(4, 1, row));
  const std::string text = test::refusal_of([&] { merged.data->read(5, 1, row); });
  EXPECT_NE(text.find("model.layers.1.mlp.up_proj.weight"), std::string::npos) << text;
  EXPECT_NE(text.find("NaN at row 5"), std::string::npos) << text;
}

TEST_F(ChangedAdapter, half_of_a_module_is_refused) {
  const std::string name = tensor("layers.1.mlp.up_proj.lora_B.weight").name;
  std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
  EXPECT_NE(reading_error().find("model.layers.1.mlp.up_proj"), std::string::npos);
}

TEST_F(ChangedAdapter, an_empty_file_is_refused_with_its_cause) {
  tensors.clear();
  EXPECT_NE(reading_error().find("the adapter is empty"), std::string::npos);
}

TEST_F(ChangedAdapter, another_rank_than_stated_is_refused) {
  config["r"] = 4;
  EXPECT_NE(reading_error().find("rank"), std::string::npos);
}

TEST_F(ChangedAdapter, modules_that_the_base_lacks_are_listed) {
  for (Tensor& t : tensors) {
    const std::size_t at = t.name.find("layers.1.mlp.up_proj");
    if (at != std::string::npos) t.name.replace(at, 8, "layers.7");
  }
  EXPECT_NE(merging_error().find("model.layers.7.mlp.up_proj"), std::string::npos);
}

TEST_F(ChangedAdapter, an_adapter_of_another_model_is_refused_by_its_shapes) {
  Tensor& down = tensor("layers.1.mlp.up_proj.lora_A.weight");
  down.shape = {8, 128};
  down.data = memory_rows(std::vector<float>(8 * 128), 8, 128);
  const std::string text = merging_error();
  EXPECT_NE(text.find("model.layers.1.mlp.up_proj"), std::string::npos) << text;
  EXPECT_NE(text.find("8 x 128"), std::string::npos) << text;
}

TEST(LoraMerge, a_folder_that_is_no_adapter_is_refused) {
  EXPECT_THROW(read_lora_adapter(miniature("base-hf")), Error);
  const test::TempFolder folder;
  test::write_bytes(folder / "adapter_config.json", R"({"r": 8, "lora_alpha": 16})");
  EXPECT_THROW(read_lora_adapter(folder.path()), Error);
}

TEST(LoraMerge, argument_with_scale) {
  EXPECT_EQ(parse_adapter_argument("a/b").scale, 1);
  EXPECT_EQ(parse_adapter_argument("a/b:0.25").path, "a/b");
  EXPECT_EQ(parse_adapter_argument("a/b:0.25").scale, 0.25);
  EXPECT_EQ(parse_adapter_argument("a:b").path, "a:b");
  EXPECT_EQ(parse_adapter_argument("a:-1e-1").scale, -0.1);
  EXPECT_THROW(parse_adapter_argument("a:inf"), Error);
  const test::TempFolder folder;
  fs::create_directory(folder / "x:2");
  EXPECT_EQ(parse_adapter_argument((folder / "x:2").string()).path, folder / "x:2");
}

TEST(LoraMerge, tied_heads_become_their_own_with_a_note) {
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  std::erase_if(model.tensors, [](const Tensor& tensor) { return tensor.name == "lm_head.weight"; });
  model.config.tied_embeddings = true;
  const std::vector<float> before = read_all_f32(*find_tensor(model, "model.embed_tokens.weight"));
  const MergeResult result =
      merge_adapters(model, {{read_lora_adapter(miniature("adapter")), 1}}, {.type = DType::f32});
  EXPECT_FALSE(model.config.tied_embeddings);
  ASSERT_EQ(result.notes.size(), 1U);
  EXPECT_EQ(read_all_f32(*find_tensor(model, "lm_head.weight")), before);
  EXPECT_NE(read_all_f32(*find_tensor(model, "model.embed_tokens.weight")), before);
}

// As PEFT 0.18 does on a tied model: after merge_and_unload head and embedding are still one.
TEST(LoraMerge, single_tokens_leave_a_tied_head_tied) {
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  std::erase_if(model.tensors, [](const Tensor& tensor) { return tensor.name == "lm_head.weight"; });
  model.config.tied_embeddings = true;
  LoraAdapter adapter;
  const std::vector<float> ones(model.config.hidden_size, 1.0F);
  adapter.tokens.push_back({"model.embed_tokens", {7}, {}});
  adapter.tokens[0].rows.data = memory_rows(ones, 1, ones.size());
  EXPECT_EQ(merge(model, adapter, 1).size(), 1U);
  EXPECT_TRUE(model.config.tied_embeddings);
  std::vector<float> row(ones.size());
  find_tensor(model, "model.embed_tokens.weight")->data->read_f32(7, 1, row);
  EXPECT_EQ(row, ones);
}

TEST(LoraMerge, the_report_counts_what_was_written) {
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  const std::vector<float> before = read_all_f32(*find_tensor(model, "model.layers.0.mlp.up_proj.weight"));
  const std::vector<MergedTensor> merged = merge(model, read_lora_adapter(miniature("adapter")), 1);
  const auto entry = std::find_if(merged.begin(), merged.end(), [](const MergedTensor& one) {
    return one.name == "model.layers.0.mlp.up_proj.weight";
  });
  ASSERT_NE(entry, merged.end());
  ASSERT_EQ(entry->applied.size(), 1U);
  EXPECT_EQ(entry->applied[0].rank, 8U);
  EXPECT_EQ(entry->applied[0].scaling, 2.0);
  const std::vector<float> after = read_all_f32(*find_tensor(model, entry->name));
  double squares = 0;
  double largest = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const double change = double{after[i]} - double{before[i]};
    squares += change * change;
    largest = std::max(largest, std::fabs(change));
  }
  EXPECT_NEAR(entry->change->summary().norm, std::sqrt(squares), 1e-12 * std::sqrt(squares));
  EXPECT_EQ(entry->change->summary().largest, largest);
  EXPECT_GT(entry->change->summary().changed, after.size() / 2);
  EXPECT_EQ(entry->change->summary().underflowed, 0U);
}

/// The largest distance of a merge of the miniature from one in float64, over the q projection of layer 0.
double distance_from_float64(LoraArithmetic arithmetic, DType type) {
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  const LoraAdapter adapter = read_lora_adapter(miniature("adapter"));
  const std::string module = "model.layers.0.self_attn.q_proj";
  const std::vector<float> base = read_all_f32(*find_tensor(model, module + ".weight"));
  const auto target = std::find_if(adapter.targets.begin(), adapter.targets.end(),
                                   [&](const LoraTarget& one) { return one.module == module; });
  const std::vector<float> a = read_all_f32(target->down), b = read_all_f32(target->up);
  merge(model, adapter, 1, {.arithmetic = arithmetic, .loaded = type, .type = type});
  const std::vector<float> merged = read_all_f32(*find_tensor(model, module + ".weight"));
  const std::uint64_t cols = target->down.shape[1];
  double sum = 0;
  for (std::uint64_t i = 0; i < merged.size(); ++i) {
    double delta = 0;
    for (std::uint64_t k = 0; k < 8; ++k)
      delta += double{b[i / cols * 8 + k]} * double{a[k * cols + i % cols]};
    sum += std::fabs(double{base[i]} + target->scaling * delta - double{merged[i]});
  }
  return sum;
}

TEST(LoraMerge, exact_is_nearer_to_float64_than_peft) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const double exact = distance_from_float64(LoraArithmetic::exact, type);
    EXPECT_LE(exact, distance_from_float64(LoraArithmetic::peft, type));
    EXPECT_LT(exact, distance_from_float64(LoraArithmetic::peft_safe, type));
  }
}

TEST(LoraMerge, several_adapters_act_in_order) {
  const LoraAdapter adapter = read_lora_adapter(miniature("adapter"));
  HfModel twice = hf_model(Checkpoint::open(miniature("base-hf")));
  merge_adapters(twice, {{adapter, 0.5}, {adapter, -0.25}}, {.type = DType::f32});
  HfModel once = hf_model(Checkpoint::open(miniature("base-hf")));
  merge(once, adapter, 0.5);
  merge(once, adapter, -0.25);
  for (const Tensor& tensor : twice.tensors)
    EXPECT_EQ(read_all_f32(tensor), read_all_f32(*find_tensor(once, tensor.name))) << tensor.name;
}

}  // namespace
}  // namespace galatea
