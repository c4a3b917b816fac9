// Adapters whose start is taken out of the base (scripts/oracles/start_goldens.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "converter/lora_merge.h"
#include "format/error.h"
#include "format/hash.h"
#include "tests/converter/lora_sample.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json starts() {
  json all = json::parse(test::read_bytes(test::test_data("lora/starts/starts.json"))).at("starts");
  EXPECT_EQ(all.size(), 7U);
  return all;
}

TEST(LoraStarts, converted_adapters_merge_as_peft_merges_them) {
  const json all = starts();
  for (const auto& [name, golden] : all.items()) {
    const LoraAdapter adapter = read_lora_adapter(test::test_data("lora/starts") / name);
    EXPECT_EQ(adapter.targets.size(), 4U);
    for (const auto& [type, expected] : golden.at("merged").items()) {
      HfModel model = lora_sample::base_model();
      MergeOptions options;
      options.type = options.loaded = *find_type_by_name(type);
      merge_adapters(model, {{adapter, 1.0}}, options);
      EXPECT_EQ(lora_sample::digest_of_all(model), expected.get<std::string>()) << name << ", " << type;
    }
  }
}

TEST(LoraStarts, adapters_saved_without_their_start_are_refused_with_the_reason) {
  const json all = starts();
  for (const auto& [name, golden] : all.items()) {
    const test::TempFolder folder;
    fs::copy(test::test_data("lora/starts") / name / "adapter_model.safetensors", folder.path());
    test::write_bytes(folder / "adapter_config.json", golden.at("as_is").dump());
    SCOPED_TRACE(name);
    const Error error = test::error_of([&] { read_lora_adapter(folder.path()); });
    const std::string text = error.what();
    const std::string start = golden.at("as_is").at("init_lora_weights");
    EXPECT_EQ(error.kind(), ErrorKind::input) << name;
    EXPECT_NE(text.find("init_lora_weights = " + start), std::string::npos) << text;
    EXPECT_NE(text.find("path_initial_model_for_weight_conversion"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace galatea
