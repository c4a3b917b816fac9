#include "format/llama_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

using nlohmann::json;

json hf_7b() {
  return json::parse(
      R"({"architectures":["LlamaForCausalLM"],"bos_token_id":1,"eos_token_id":2,"hidden_act":"silu",
    "hidden_size":4096,"intermediate_size":11008,"max_position_embeddings":2048,"model_type":"llama",
    "num_attention_heads":32,"num_hidden_layers":32,"pad_token_id":0,"rms_norm_eps":1e-06,
    "tie_word_embeddings":false,"torch_dtype":"float16","vocab_size":32000})");
}

TEST(LlamaConfig, FromHuggingFace) {
  const LlamaConfig config = config_from_hf(hf_7b());
  EXPECT_EQ(config.hidden_size, 4096U);
  EXPECT_EQ(config.head_dim, 128U);
  EXPECT_EQ(config.kv_heads, 32U);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.pad_id, 0);
}

TEST(LlamaConfig, WhatIsNotUnderstoodIsRefusedByName) {
  const std::pair<const char*, json> faults[] = {
      {"architectures", json::array({"GPTNeoXForCausalLM"})},
      {"hidden_act", "gelu"},
      {"attention_bias", true},
      {"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}},
      {"rope_scaling", {{"type", "linear"}}},
      {"rope_scaling", {{"type", "linear"}, {"factor", 0.5}}},
      {"rope_scaling", {{"factor", 2.0}}},
      {"rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}}},
      {"rope_interleaved", true},
      {"partial_rotary_factor", 0.5},
      {"logits_scaling", 8.0},
      {"attn_logit_softcapping", 50.0},
      {"sliding_window", -5},
      {"hidden_size", -1},
      {"hidden_size", "4096"},
      {"rms_norm_eps", "small"},
      {"tie_word_embeddings", 1},
  };
  for (const auto& [field, value] : faults) {
    json config = hf_7b();
    config[field] = value;
    SCOPED_TRACE(testing::Message() << field << " " << value);
    test::expect_refused([&] { config_from_hf(config); }, field);
  }
}

TEST(LlamaConfig, ScaledAndWindowedAttentionIsReadButNotWritten) {
  json config = hf_7b();
  EXPECT_NO_THROW(config_from_hf(config).require_plain_attention());
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const LlamaConfig scaled = config_from_hf(config);
  EXPECT_EQ(scaled.rope_scaling.kind, RopeScaling::Kind::llama3);
  EXPECT_EQ(scaled.rope_scaling.factor, 8.0);
  EXPECT_THROW(scaled.require_plain_attention(), Error);
  config["rope_scaling"] = nullptr;
  config["architectures"] = {"MistralForCausalLM"};
  config["sliding_window"] = 4096;
  EXPECT_EQ(config_from_hf(config).sliding_window, 4096U);
  EXPECT_THROW(config_from_hf(config).require_plain_attention(), Error);
  config["sliding_window"] = nullptr;
  EXPECT_EQ(config_from_hf(config).sliding_window, 0U);
}

TEST(LlamaConfig, ThetaOfNewerFiles) {
  json config = hf_7b();
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  EXPECT_EQ(config_from_hf(config).rope_theta, 500000.0);
}

TEST(LlamaConfig, AbsurdFeedForwardSizesOfMeta) {
  const json params = {
      {"dim", std::uint64_t{1} << 58U}, {"ffn_dim_multiplier", 900.0}, {"n_heads", 32}, {"n_layers", 2}};
  EXPECT_THROW(config_from_meta(params), Error);
}

TEST(LlamaConfig, NumbersThatDoNotFitTogetherAreRefused) {
  for (const auto& [field, value] : {std::pair<const char*, std::uint64_t>{"num_attention_heads", 33},
                                     {"num_attention_heads", 0},
                                     {"num_key_value_heads", 5},
                                     {"head_dim", 127},
                                     {"vocab_size", 0},
                                     {"num_hidden_layers", 1000000},
                                     {"hidden_size", std::uint64_t{1} << 60U}}) {
    json config = hf_7b();
    config[field] = value;
    EXPECT_THROW(config_from_hf(config), Error) << field;
  }
  json config = hf_7b();
  config.erase("hidden_size");
  EXPECT_THROW(config_from_hf(config), Error);
  EXPECT_THROW(config_from_hf(json::array()), Error);
}

TEST(LlamaConfig, FeedForwardSizesOfMetasModels) {
  // 7B, 13B, 30B, 65B: releases.md lists 11008, 13824, 17920, 22016.
  const std::tuple<int, int, std::uint64_t> sizes[] = {
      {4096, 32, 11008}, {5120, 40, 13824}, {6656, 52, 17920}, {8192, 64, 22016}};
  for (const auto& [dim, heads, expected] : sizes) {
    const json params = {{"dim", dim},    {"multiple_of", 256}, {"n_heads", heads},
                         {"n_layers", 2}, {"norm_eps", 1e-6},   {"vocab_size", -1}};
    const LlamaConfig config = config_from_meta(params);
    EXPECT_EQ(config.intermediate_size, expected);
    EXPECT_EQ(config.vocab_size, 0U);
    EXPECT_EQ(config.head_dim, 128U);
  }
}

}  // namespace
}  // namespace galatea
