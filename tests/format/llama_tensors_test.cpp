#include "format/llama_tensors.h"

#include <gtest/gtest.h>

#include <set>

namespace galatea {
namespace {

TEST(LlamaTensors, EveryNameIsParsedBackInEverySchemeAndIsUnique) {
  for (const Naming naming : {Naming::hf, Naming::meta, Naming::gguf}) {
    std::set<std::string> names;
    for (const LlamaTensorId id : llama_tensor_order(12, true)) {
      const std::string name = tensor_name(id, naming);
      EXPECT_TRUE(names.insert(name).second) << name;
      const auto parsed = parse_tensor_name(name);
      ASSERT_TRUE(parsed.has_value()) << name;
      EXPECT_EQ(*parsed, id) << name;
    }
    EXPECT_EQ(names.size(), 12U * 9 + 3);
  }
}

TEST(LlamaTensors, OtherNamesAreNobodys) {
  for (const char* name :
       {"", "model.layers.0.self_attn.rotary_emb.inv_freq", "rope.freqs",
        "model.layers.00.mlp.up_proj.weight", "model.layers..mlp.up_proj.weight",
        "model.layers.-1.mlp.up_proj.weight", "model.layers.99999999999999999999.mlp.up_proj.weight",
        "layers.3", "layers.3.", "blk.0.attn_q.bias"}) {
    EXPECT_FALSE(parse_tensor_name(name).has_value()) << name;
  }
}

TEST(LlamaTensors, NamesOfTheThreeSchemes) {
  const LlamaTensorId id{LlamaRole::down, 7};
  EXPECT_EQ(tensor_name(id, Naming::hf), "model.layers.7.mlp.down_proj.weight");
  EXPECT_EQ(tensor_name(id, Naming::meta), "layers.7.feed_forward.w2.weight");
  EXPECT_EQ(tensor_name(id, Naming::gguf), "blk.7.ffn_down.weight");
}

TEST(LlamaTensors, ShapesWithGroupedQueries) {
  LlamaConfig config;
  config.vocab_size = 512;
  config.hidden_size = 64;
  config.intermediate_size = 172;
  config.layers = 5;
  config.heads = 8;
  config.kv_heads = 4;
  config.head_dim = 8;
  EXPECT_EQ(expected_shape({LlamaRole::k, 0}, config), (Shape{32, 64}));
  EXPECT_EQ(expected_shape({LlamaRole::o, 0}, config), (Shape{64, 64}));
  EXPECT_EQ(expected_shape({LlamaRole::down, 0}, config), (Shape{64, 172}));
  EXPECT_EQ(expected_shape({LlamaRole::final_norm, 0}, config), (Shape{64}));
}

}  // namespace
}  // namespace galatea
