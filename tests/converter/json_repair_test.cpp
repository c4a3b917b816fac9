#include "converter/json_repair.h"

#include <gtest/gtest.h>

#include "converter/hf_side_files.h"
#include "converter/xor_codec.h"
#include "verify/compare.h"

namespace galatea {
namespace {

LlamaConfig config() {
  LlamaConfig out;
  out.vocab_size = 32000;
  out.hidden_size = 64;
  out.intermediate_size = 256;
  out.layers = 2;
  out.heads = out.kv_heads = 8;
  out.head_dim = 8;
  out.pad_id = 0;
  return out;
}

std::string xored(const std::string& a, const std::string& b) {
  return xor_source(memory_source(a, "a"), memory_source(b, "b"))->read_text(1U << 20U);
}

/// What decoding the payload of `tuned`, made from `true_base`, with `base` is about to give.
DecodedFile decoding(const std::string& name, const std::string& tuned, const std::string& true_base,
                     const std::string& base) {
  const SourcePtr payload = memory_source(xored(tuned, true_base), name);
  const SourcePtr key = memory_source(base, name);
  return {name, payload, key, xor_source(payload, key)};
}

ReleaseFile published(const std::string& name, const std::string& content) {
  ReleaseFile file;
  file.name = name;
  const std::vector<HashKind> kinds = {HashKind::sha256};
  file.variants.push_back({digest_source(*memory_source(content, name), kinds), {}});
  return file;
}

std::string text(const SourcePtr& source) { return source->read_text(1U << 20U); }

TEST(JsonRepair, EveryKnownStampIsTried) {
  const std::string tuned = config_json(config(), DType::bf16, "4.30.0.dev0");
  for (const std::string_view stamp : transformers_versions_of_2023()) {
    const DecodedFile file = decoding("config.json", tuned, config_json(config(), DType::f16, stamp),
                                      config_json(config(), DType::f16, "4.40.1-other"));
    EXPECT_FALSE(is_right_json(file.decoded, nullptr)) << stamp;
    const ReleaseFile expected = published("config.json", tuned);
    const auto repaired = repair_json(file, &expected);
    ASSERT_TRUE(repaired) << stamp;
    EXPECT_TRUE(repaired->confirmed);
    EXPECT_EQ(text(repaired->decoded), tuned);
    EXPECT_NE(repaired->how.find(stamp), std::string::npos);
  }
}

// Of stamps of one length all give JSON; the digest tells which is right.
TEST(JsonRepair, ADigestSeesAWrongStampOfTheSameLength) {
  const std::string tuned = generation_config_json(config(), "4.29.0.dev0");
  const DecodedFile file =
      decoding("generation_config.json", tuned, generation_config_json(config(), "4.28.0.dev0"),
               generation_config_json(config(), "4.30.0.dev0"));
  EXPECT_TRUE(is_right_json(file.decoded, nullptr));
  const ReleaseFile expected = published("generation_config.json", tuned);
  EXPECT_FALSE(is_right_json(file.decoded, &expected));
  const auto repaired = repair_json(file, &expected);
  ASSERT_TRUE(repaired);
  EXPECT_EQ(text(repaired->decoded), tuned);
}

TEST(JsonRepair, WithoutADigestItIsNotConfirmed) {
  const std::string tuned = config_json(config(), DType::bf16, "4.28.1");
  const DecodedFile file = decoding("config.json", tuned, config_json(config(), DType::f16, "4.28.0.dev0"),
                                    config_json(config(), DType::f16, "4.31.0"));
  const auto repaired = repair_json(file, nullptr);
  ASSERT_TRUE(repaired);
  EXPECT_FALSE(repaired->confirmed);
  EXPECT_EQ(text(repaired->decoded), tuned);
}

TEST(JsonRepair, KnownContentsReplaceABaseThatIsNotTheirs) {
  const std::vector<std::pair<std::string, std::string>> known = {
      {"generation_config.json", generation_config_json(config(), "4.28.0.dev0")},
      {"tokenizer_config.json", tokenizer_config_json(2048)},
      {"tokenizer_config.json", tokenizer_config_json(0)},
      {"special_tokens_map.json", special_tokens_map_json()}};
  for (const auto& [name, base] : known) {
    const std::string tuned = "{\"a tuned one\": [1, 2, 3]}\n";
    const auto repaired = repair_json(decoding(name, tuned, base, "{}"), nullptr);
    ASSERT_TRUE(repaired) << name;
    EXPECT_EQ(text(repaired->decoded), tuned);
  }
}

TEST(JsonRepair, WhatIsNotKnownStaysAsItIs) {
  const std::string tuned = config_json(config(), DType::bf16, "4.28.1");
  LlamaConfig other = config();
  other.layers = 30;
  const DecodedFile file = decoding("config.json", tuned, config_json(config(), DType::f16, "4.28.0.dev0"),
                                    "{\"_name_or_path\": \"x\"}" + config_json(other, DType::f16, "4.28.1"));
  EXPECT_FALSE(repair_json(file, nullptr));
  const DecodedFile right = decoding("config.json", tuned, config_json(config(), DType::f16, "4.28.0.dev0"),
                                     config_json(config(), DType::f16, "4.31.0"));
  const ReleaseFile expected = published("config.json", "another content");
  EXPECT_FALSE(repair_json(right, &expected));
  DecodedFile weights = right;
  weights.name = "tokenizer.model";
  EXPECT_FALSE(repair_json(weights, nullptr));
}

}  // namespace
}  // namespace galatea
