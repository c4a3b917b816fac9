// What PEFT saved and merged (scripts/oracles/lora_goldens.py), bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "converter/lora_merge.h"
#include "format/hash.h"
#include "format/safetensors.h"
#include "tests/converter/lora_sample.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;

using lora_sample::base_model;
using lora_sample::digest;
using lora_sample::filled;

void save(const json& golden, const std::filesystem::path& folder) {
  test::write_bytes(folder / "adapter_config.json", golden.at("config").dump());
  const DType type = *find_type_by_name(golden.at("type").get<std::string>());
  std::vector<Tensor> tensors;
  for (const auto& [name, shape] : golden.at("tensors").items()) {
    tensors.push_back(filled(name, shape.get<Shape>()));
    tensors.back().data = cast_rows(tensors.back().data, type);
  }
  write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
             folder / "adapter_model.safetensors", {});
}

class PeftGoldens : public ::testing::TestWithParam<const char*> {};

TEST_P(PeftGoldens, merged_weights_are_those_of_peft) {
  const json goldens = json::parse(test::read_bytes(test::test_data(GetParam())));
  for (const auto& [name, golden] : goldens.at("cases").items()) {
    const test::TempFolder folder;
    save(golden, folder.path());
    const LoraAdapter adapter = read_lora_adapter(folder.path());
    for (const auto& [how, merged] : golden.at("merged").items()) {
      HfModel model = base_model(golden.at("bias"));
      std::map<std::string, std::string> before;
      for (const Tensor& tensor : model.tensors) before[tensor.name] = digest(tensor);
      MergeOptions options;
      options.type = options.loaded = *find_type_by_name(how.substr(0, how.find(' ')));
      options.vocabulary = VocabularyRule::grow;
      if (how.ends_with(" safe")) options.arithmetic = LoraArithmetic::peft_safe;
      const MergeResult result = merge_adapters(model, {{adapter, 1.0}}, options);
      EXPECT_FALSE(result.tensors.empty());
      std::map<std::string, std::string> after;
      for (const Tensor& tensor : model.tensors) after[tensor.name] = digest(tensor);
      if (merged.contains("changed")) {
        std::set<std::string> changed;
        for (const auto& [tensor, expected] : merged.at("changed").items()) {
          EXPECT_EQ(after[tensor], expected.get<std::string>()) << name << ", " << how << ": " << tensor;
          changed.insert(tensor);
        }
        for (const auto& [tensor, value] : after)
          EXPECT_TRUE(changed.contains(tensor) || value == before[tensor]) << name << ": " << tensor;
      }
      std::string all;
      for (const auto& [tensor, value] : after) all += value;
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(all))).substr(0, 16), merged.at("all").get<std::string>())
          << name << ", " << how;
    }
  }
}

// PEFT's merge in float64, rounded once, is what `exact` gives for every fixture; so no other merge in that type is
// nearer to the one in float64, and PEFT's own, which is another, is farther away.
TEST(LoraGoldens, exact_is_the_merge_in_float64_rounded_once) {
  const json goldens = json::parse(test::read_bytes(test::test_data("lora/peft_0_18.json")));
  std::size_t nearer = 0, compared = 0;
  for (const auto& [name, golden] : goldens.at("cases").items()) {
    const test::TempFolder folder;
    save(golden, folder.path());
    for (const auto& [type, expected] : golden.at("exact").items()) {
      HfModel model = base_model(golden.at("bias"));
      MergeOptions options;
      options.arithmetic = LoraArithmetic::exact;
      options.type = *find_type_by_name(type);
      options.vocabulary = VocabularyRule::grow;
      merge_adapters(model, {{read_lora_adapter(folder.path()), 1.0}}, options);
      std::map<std::string, std::string> after;
      for (const Tensor& tensor : model.tensors) after[tensor.name] = digest(tensor);
      std::string all;
      for (const auto& [tensor, value] : after) all += value;
      all = sha256_hex(std::as_bytes(std::span(all))).substr(0, 16);
      EXPECT_EQ(all, expected.get<std::string>()) << name << ", " << type;
      nearer += all != golden.at("merged").at(type).at("all").get<std::string>() ? 1U : 0U;
      ++compared;
    }
  }
  EXPECT_GE(compared, 72U);
  EXPECT_GE(nearer, 60U);
}

INSTANTIATE_TEST_SUITE_P(Versions, PeftGoldens,
                         ::testing::Values("lora/peft_0_3.json", "lora/peft_0_4.json", "lora/peft_0_18.json"),
                         [](const auto& parameter) {
                           return std::filesystem::path(parameter.param).stem().string();
                         });

}  // namespace
}  // namespace galatea
