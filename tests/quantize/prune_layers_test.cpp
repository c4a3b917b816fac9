#include "quantize/prune_layers.h"

#include <gtest/gtest.h>

#include "format/error.h"

namespace galatea {
namespace {

GgufModel model_of(std::uint64_t layers) {
  GgufModel model{{{"llama.block_count", static_cast<std::uint32_t>(layers)}}, {}};
  const auto add = [&](const std::string& name, float value) {
    const std::vector<float> values(4, value);
    model.tensors.push_back({name, {2, 2}, memory_rows(values, 2, 2), {}, 0});
  };
  add("token_embd.weight", -1);
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    add("blk." + std::to_string(layer) + ".attn_q.weight", static_cast<float>(layer));
    add("blk." + std::to_string(layer) + ".ffn_up.weight", static_cast<float>(layer) + 0.5F);
  }
  return model;
}

std::set<std::uint64_t> layers(std::initializer_list<std::uint64_t> list) { return list; }

TEST(PruneLayers, lists_and_ranges) {
  EXPECT_EQ(parse_layers("3"), layers({3}));
  EXPECT_EQ(parse_layers("5,1"), layers({1, 5}));
  EXPECT_EQ(parse_layers("20-22,30"), layers({20, 21, 22, 30}));
  for (const char* bad :
       {"", ",", "1,", "a", "1-", "-1", "3-2", "1 2", "999999999", "0-99999999999999999999"})
    EXPECT_THROW(parse_layers(bad), Error) << bad;
}

TEST(PruneLayers, the_rest_moves_up_with_its_importance) {
  GgufModel model = model_of(13);
  ImportanceMatrix importance;
  const auto weights = [](float value) { return std::make_shared<std::vector<float>>(2, value); };
  importance = {{"token_embd.weight", weights(9)},
                {"blk.1.attn_q.weight", weights(1)},
                {"blk.2.attn_q.weight", weights(2)},
                {"blk.12.ffn_up.weight", weights(12)}};
  prune_layers(model, importance, {1, 4});
  ASSERT_EQ(model.tensors.size(), 23U);
  EXPECT_EQ(to_string(model.metadata.front().value), "11");
  EXPECT_EQ(model.tensors[0].name, "token_embd.weight");
  EXPECT_EQ(model.tensors[3].name, "blk.1.attn_q.weight");
  EXPECT_EQ(read_all_f32(model.tensors[3]).front(), 2.0F);
  EXPECT_EQ(model.tensors.back().name, "blk.10.ffn_up.weight");
  EXPECT_EQ(read_all_f32(model.tensors.back()).front(), 12.5F);
  EXPECT_EQ(importance.size(), 3U);
  EXPECT_EQ(importance.at("blk.1.attn_q.weight")->front(), 2.0F);
  EXPECT_EQ(importance.at("blk.10.ffn_up.weight")->front(), 12.0F);
}

TEST(PruneLayers, layers_that_are_not_there_and_all_of_them_are_refused) {
  ImportanceMatrix none;
  GgufModel model = model_of(2);
  EXPECT_THROW(prune_layers(model, none, {2}), Error);
  EXPECT_THROW(prune_layers(model, none, {0, 1}), Error);
  EXPECT_EQ(model.tensors.size(), 5U);
  prune_layers(model, none, {});
  EXPECT_EQ(model.tensors.size(), 5U);
}

}  // namespace
}  // namespace galatea
