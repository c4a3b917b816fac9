#include "converter/lora_merge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "converter/convert.h"
#include "format/error.h"
#include "format/hash.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path miniature(const char* name) { return test::test_data("miniature") / name; }

// Published: what torch 1.13 and PEFT 0.4 made of the same base and adapter.
TEST(LoraMerge, miniature_has_the_published_digests) {
  const Checkpoint base = Checkpoint::open(miniature("base-hf"));
  HfModel model = hf_model(base);
  const LoraAdapter adapter = read_lora_adapter(miniature("adapter"));
  EXPECT_EQ(merge_adapter(model, adapter, 1).size(), 15U);
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
  const LoraAdapter adapter = read_lora_adapter(miniature("adapter"));
  HfModel expected = hf_model(hf);
  merge_adapter(expected, adapter, 0.5);
  for (const fs::path& path : {folder / "base.gguf", miniature("meta")}) {
    const Checkpoint base = Checkpoint::open(path);
    HfModel model = hf_model(base);
    merge_adapter(model, adapter, 0.5);
    for (const Tensor& tensor : model.tensors) {
      EXPECT_EQ(read_all_f32(tensor), read_all_f32(*find_tensor(expected, tensor.name))) << tensor.name;
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

  std::string error_of(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      return error.what();
    }
    return "no error";
  }
  std::string reading_error() {
    save();
    return error_of([&] { read_lora_adapter(folder.path()); });
  }
  std::string merging_error() {
    save();
    HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
    return error_of([&] { merge_adapter(model, read_lora_adapter(folder.path()), 1); });
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
  EXPECT_EQ(adapter.config.scaling, 2.0);
}

TEST_F(ChangedAdapter, scaling_with_rslora) {
  config["use_rslora"] = true;
  EXPECT_DOUBLE_EQ(lora_config(config, "c").scaling, 16.0 / std::sqrt(8.0));
}

TEST_F(ChangedAdapter, settings_that_are_not_understood_are_listed) {
  config["use_dora"] = true;
  config["modules_to_save"] = {"lm_head"};
  const std::string text = reading_error();
  EXPECT_NE(text.find("use_dora = true"), std::string::npos) << text;
  EXPECT_NE(text.find("modules_to_save"), std::string::npos) << text;
}

TEST_F(ChangedAdapter, every_setting_that_changes_weights_is_refused) {
  for (const json& setting :
       {json{{"bias", "all"}}, json{{"init_lora_weights", "pissa"}}, json{{"init_lora_weights", "loftq"}},
        json{{"rank_pattern", {{"q_proj", 4}}}}, json{{"alpha_pattern", {{"q_proj", 4}}}},
        json{{"enable_lora", {true}}}, json{{"layer_replication", {{0, 1}}}}, json{{"something_of_2030", 1}},
        json{{"peft_type", "IA3"}}, json{{"r", 0}}, json{{"r", 2.5}}, json{{"r", 1e12}}, json{{"r", nullptr}},
        json{{"lora_alpha", nullptr}}, json{{"lora_alpha", "16"}}}) {
    json changed = config;
    changed.update(setting);
    EXPECT_THROW(lora_config(changed, "c"), Error) << setting;
  }
  for (const json& setting :
       {json{{"use_dora", false}}, json{{"rank_pattern", json::object()}}, json{{"bias", "none"}},
        json{{"init_lora_weights", "gaussian"}}, json{{"layers_to_transform", {1}}}}) {
    json changed = config;
    changed.update(setting);
    EXPECT_NO_THROW(lora_config(changed, "c")) << setting;
  }
  EXPECT_THROW(lora_config(json::array(), "c"), Error);
}

TEST_F(ChangedAdapter, tensors_that_are_no_part_of_a_lora_are_listed) {
  tensors.front().name = "base_model.model.lm_head.weight";
  const std::string text = reading_error();
  EXPECT_NE(text.find("base_model.model.lm_head.weight"), std::string::npos) << text;
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

TEST(LoraMerge, tied_heads_are_not_merged_in_silence) {
  HfModel model = hf_model(Checkpoint::open(miniature("base-hf")));
  model.config.tied_embeddings = true;
  EXPECT_THROW(merge_adapter(model, read_lora_adapter(miniature("adapter")), 1), Error);
}

}  // namespace
}  // namespace galatea
