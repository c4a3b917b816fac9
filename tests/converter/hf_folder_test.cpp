#include "converter/hf_folder.h"

#include <gtest/gtest.h>

#include "format/error.h"

namespace galatea {
namespace {

Tensor tensor(const std::string& name, std::uint64_t elements) {
  return {name, {elements}, memory_rows(std::vector<float>(elements), elements, 1), {}, 0};
}

std::vector<std::string> names(const std::vector<Tensor>& tensors) {
  std::vector<std::string> out;
  out.reserve(tensors.size());
  for (const Tensor& t : tensors) out.push_back(t.name);
  return out;
}

TEST(HfFolder, order_is_that_of_a_state_dict) {
  const std::vector<std::string> expected = {"model.embed_tokens.weight",
                                             "model.layers.2.self_attn.q_proj.weight",
                                             "model.layers.2.self_attn.k_proj.weight",
                                             "model.layers.2.self_attn.v_proj.weight",
                                             "model.layers.2.self_attn.o_proj.weight",
                                             "model.layers.2.self_attn.rotary_emb.inv_freq",
                                             "model.layers.2.mlp.gate_proj.weight",
                                             "model.layers.2.mlp.down_proj.weight",
                                             "model.layers.2.mlp.up_proj.weight",
                                             "model.layers.2.input_layernorm.weight",
                                             "model.layers.2.post_attention_layernorm.weight",
                                             "model.layers.10.mlp.up_proj.weight",
                                             "model.norm.weight",
                                             "lm_head.weight",
                                             "a.stranger",
                                             "model.layers.02.self_attn.rotary_emb.inv_freq"};
  std::vector<Tensor> tensors;
  for (auto name = expected.rbegin(); name != expected.rend(); ++name) tensors.push_back(tensor(*name, 1));
  EXPECT_EQ(names(in_state_dict_order(std::move(tensors))), expected);
}

// As transformers 4.28 did: the limit may be met exactly, and a first tensor above it leaves an empty shard.
TEST(HfFolder, shards_are_cut_where_the_next_tensor_would_not_fit) {
  std::vector<Tensor> tensors;
  for (const std::uint64_t size : {4U, 6U, 1U, 30U, 5U, 5U, 1U}) {
    tensors.push_back(tensor("t" + std::to_string(tensors.size()), size));
  }
  const auto shards = shard_weights(tensors, HfContainer::bin, 40);
  ASSERT_EQ(shards.size(), 5U);
  EXPECT_EQ(names(shards[0].tensors), (std::vector<std::string>{"t0", "t1"}));
  EXPECT_EQ(names(shards[1].tensors), (std::vector<std::string>{"t2"}));
  EXPECT_EQ(names(shards[2].tensors), (std::vector<std::string>{"t3"}));
  EXPECT_EQ(names(shards[3].tensors), (std::vector<std::string>{"t4", "t5"}));
  EXPECT_EQ(shards[3].file, "pytorch_model-00004-of-00005.bin");
  EXPECT_EQ(index_of(shards).weight_map.at("t6"), "pytorch_model-00005-of-00005.bin");
  EXPECT_EQ(index_of(shards).total_size, 4U * 52U);

  const auto large_first = shard_weights({tensor("a", 11), tensor("b", 1)}, HfContainer::safetensors, 40);
  ASSERT_EQ(large_first.size(), 3U);
  EXPECT_TRUE(large_first[0].tensors.empty());
  EXPECT_EQ(large_first[2].file, "model-00003-of-00003.safetensors");
}

TEST(HfFolder, one_shard_has_the_plain_name_and_no_index) {
  const auto files = hf_weight_files({tensor("a", 1)}, HfContainer::bin, 40);
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].name, "pytorch_model.bin");
  EXPECT_EQ(hf_weight_files({tensor("a", 1), tensor("b", 9), tensor("c", 1)}, HfContainer::safetensors, 40)
                .back()
                .name,
            "model.safetensors.index.json");
}

TEST(HfFolder, sizes_of_shards) {
  EXPECT_EQ(parse_shard_bytes("10GB"), default_shard_bytes);
  EXPECT_EQ(parse_shard_bytes("2gib"), 2ULL << 30U);
  EXPECT_EQ(parse_shard_bytes("1500KB"), 1'500'000U);
  EXPECT_EQ(parse_shard_bytes("7"), 7U);
  for (const char* bad : {"", "GB", "0", "-1GB", "1.5GB", "10TB", "99999999999GiB", "10 GB"})
    EXPECT_THROW(parse_shard_bytes(bad), Error) << bad;
}

}  // namespace
}  // namespace galatea
