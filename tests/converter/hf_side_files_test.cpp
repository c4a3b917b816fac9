#include "converter/hf_side_files.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>

#include "format/error.h"
#include "format/hash.h"

namespace galatea {
namespace {

std::string sha256(const std::string& text) { return sha256_hex(std::as_bytes(std::span(text))); }

LlamaConfig thirty() {
  LlamaConfig config;
  config.vocab_size = 32000;
  config.hidden_size = 6656;
  config.intermediate_size = 17920;
  config.layers = 60;
  config.heads = config.kv_heads = 52;
  config.head_dim = 128;
  config.pad_id = 0;
  return config;
}

// Digests that the releases publish (or, for the last, whose MD5 they publish).
TEST(HfSideFiles, generation_config_has_the_published_digests) {
  EXPECT_EQ(sha256(generation_config_json(thirty(), "4.28.0.dev0")),
            "fd7ff399e5568cc21a0a8414f43df88ef7c424995b9b97a90563165d2cf79efd");
  EXPECT_EQ(sha256(generation_config_json(thirty(), "4.28.1")),
            "062a37a6d986c38231880f5cce4fa9a0145aeefcf8be9ab23ddf7d600c037aea");
  EXPECT_EQ(sha256(generation_config_json(thirty(), "4.29.0.dev0")),
            "a23652fc622a27b8863c39f524707796967095b2a85f334561b11422f71445a2");
  EXPECT_EQ(sha256(generation_config_json(thirty(), "4.30.0.dev0")),
            "e14c4af01ea4febe3448d9db29c6dbd982966c5161a31c5185b8fe6d6796509a");
}

TEST(HfSideFiles, tokenizer_files_have_the_published_digests) {
  EXPECT_EQ(sha256(tokenizer_config_json(2048)),
            "380608719f3af6ef2b343e2ed53bf55556678609337e88a14f58cc49177b9e18");
  // As transformers 4.28.1 writes it from tokenizer.model; its MD5, edd1a589..., is published for
  // the 30B base.
  EXPECT_EQ(sha256(tokenizer_config_json(0)),
            "516c6167c884793a738c440e29ccb80c15e1493ffc965affc69a1a8ddef4572a");
  EXPECT_EQ(sha256(special_tokens_map_json()),
            "ff3b4a612c4e447acb02d40071bddd989fe0da87eb5b7fe0dbadfc4f74de7531");
}

TEST(HfSideFiles, config_has_the_published_digest_of_the_30b_base) {
  Hasher md5(HashKind::md5);
  const std::string text = config_json(thirty(), DType::f16, "4.29.0.dev0");
  md5.update(std::as_bytes(std::span(text)));
  EXPECT_EQ(md5.finish(), "598538f18fed1877b41f77de034c0c8a");
}

TEST(HfSideFiles, config_names_what_llama_1_does_not_imply) {
  LlamaConfig config = thirty();
  config.kv_heads = 4;
  config.rope_theta = 500000;
  config.pad_id = -1;
  const std::string text = config_json(config, DType::bf16, "4.31.0");
  EXPECT_NE(text.find("\"num_key_value_heads\": 4,"), std::string::npos);
  EXPECT_NE(text.find("\"rope_theta\": 500000.0,"), std::string::npos);
  EXPECT_NE(text.find("\"torch_dtype\": \"bfloat16\","), std::string::npos);
  EXPECT_EQ(text.find("pad_token_id"), std::string::npos);
  EXPECT_EQ(text.find("head_dim"), std::string::npos);
  EXPECT_THROW(config_json(config, DType::q8_0, "4.31.0"), Error);
}

TEST(HfSideFiles, generations_are_found_by_name) {
  EXPECT_EQ(hf_generations().front().transformers_version, "4.28.0.dev0");
  for (const HfGeneration& generation : hf_generations())
    EXPECT_EQ(&find_hf_generation(generation.name), &generation);
  EXPECT_THROW(find_hf_generation("4.27"), Error);
}

TEST(HfSideFiles, ScalingsAreWrittenAsTheyAreRead) {
  using Kind = RopeScaling::Kind;
  for (const RopeScaling& scaling :
       {RopeScaling{}, RopeScaling{.kind = Kind::linear, .factor = 2.5},
        RopeScaling{.kind = Kind::dynamic, .factor = 2},
        RopeScaling{.kind = Kind::llama3, .factor = 32, .high_frequency = 4.5, .original_context = 4096}}) {
    LlamaConfig config = thirty();
    config.rope_scaling = scaling;
    const LlamaConfig back = config_from_hf(nlohmann::json::parse(config_json(config, DType::f16, "4.45.2")));
    EXPECT_EQ(back.rope_scaling.kind, scaling.kind);
    EXPECT_EQ(back.rope_scaling.factor, scaling.factor);
    EXPECT_EQ(back.rope_scaling.high_frequency, scaling.high_frequency);
    if (scaling.kind == Kind::llama3) {
      EXPECT_EQ(back.rope_scaling.original_context, scaling.original_context);
    }
  }
  LlamaConfig config = thirty();
  config.sliding_window = 4096;
  EXPECT_THROW(config_json(config, DType::f16, "4.45.2"), Error) << "LlamaForCausalLM has none";
}

}  // namespace
}  // namespace galatea
