#include "quantize/type_mix.h"

#include <gtest/gtest.h>

#include <map>

#include "format/dtype.h"
#include "format/error.h"

namespace galatea {
namespace {

/// A matrix nobody reads.
Tensor tensor(const std::string& name, std::uint64_t cols = 256, std::uint64_t rows = 1) {
  return {name,
          {rows, cols},
          memory_rows(std::vector<std::byte>(rows * cols * 2), DType::f16, rows, cols),
          {},
          0};
}

std::string type_of(std::string_view mix, const std::string& name, const ModelTraits& model) {
  TypeMix wanted;
  wanted.named = find_mix(mix);
  return std::string(type_info(choose_type(tensor(name), wanted, model).type).name);
}

/// The types of one role in all layers, as runs: "5Q6_K 3Q4_K ...".
std::string runs(std::string_view mix, const std::string& role, const ModelTraits& model) {
  std::string text, last;
  int count = 0;
  const auto flush = [&] {
    if (count != 0) text += (text.empty() ? "" : " ") + std::to_string(count) + last;
  };
  for (std::uint64_t layer = 0; layer < model.layers; ++layer) {
    const std::string type = type_of(mix, "blk." + std::to_string(layer) + "." + role + ".weight", model);
    if (type != last) {
      flush();
      count = 0;
      last = type;
    }
    ++count;
  }
  flush();
  return text;
}

constexpr ModelTraits llama_7b{32, 32, 32, false, false};
constexpr ModelTraits llama_70b{80, 64, 8, false, false};

TEST(TypeMix, names_are_those_of_llama_quantize) {
  EXPECT_EQ(find_mix("q4_k")->name, "Q4_K_M");
  EXPECT_EQ(find_mix("Q3_K")->file_type, 12U);
  EXPECT_EQ(find_mix("Q5_K")->name, "Q5_K_M");
  EXPECT_EQ(find_mix("Q2_K")->name, "Q2_K");
  EXPECT_EQ(find_mix("Q4_K_XXL"), nullptr);
  EXPECT_EQ(find_mix(""), nullptr);
  std::map<std::uint32_t, int> numbers;
  for (const NamedMix& mix : all_mixes()) {
    EXPECT_EQ(find_mix(mix.name), &mix);
    // MXFP4 is ours: the type for every matrix, where llama-quantize has it for experts only.
    if (mix.name == "MXFP4") continue;
    EXPECT_EQ(++numbers[mix.file_type], 1) << mix.name;
  }
}

// The published files of LLaMA 7B: attn_v and ffn_down of Q4_K_M have Q6_K in 16 of 32 layers.
TEST(TypeMix, medium_mixes_give_more_bits_at_both_ends_and_every_third_layer_between) {
  std::string half = "4Q6_K";
  for (int i = 0; i < 7; ++i) half += " 2Q4_K 1Q6_K";
  EXPECT_EQ(runs("Q4_K_M", "attn_v", llama_7b), half + " 2Q4_K 5Q6_K");
  EXPECT_EQ(runs("Q4_K_M", "ffn_down", llama_7b), runs("Q4_K_M", "attn_v", llama_7b));
  EXPECT_EQ(runs("Q4_K_M", "attn_q", llama_7b), "32Q4_K");
  EXPECT_EQ(runs("Q4_K_S", "attn_v", llama_7b), "4Q5_K 28Q4_K");
  EXPECT_EQ(runs("Q4_K_S", "ffn_down", llama_7b), "4Q5_K 28Q4_K");
  EXPECT_EQ(runs("Q5_K_S", "ffn_down", llama_7b), "32Q5_K");
  EXPECT_EQ(runs("Q3_K_M", "attn_v", llama_7b), "2Q5_K 30Q4_K");
  EXPECT_EQ(runs("Q3_K_M", "ffn_down", llama_7b), "2Q5_K 30Q4_K");
  EXPECT_EQ(runs("Q3_K_M", "attn_output", llama_7b), "32Q4_K");
  EXPECT_EQ(runs("Q3_K_L", "ffn_down", llama_7b), "32Q5_K");
  EXPECT_EQ(runs("Q3_K_S", "ffn_down", llama_7b), "32Q3_K");
  EXPECT_EQ(runs("Q2_K", "attn_v", llama_7b), "32Q3_K");
  EXPECT_EQ(runs("Q2_K", "attn_output", llama_7b), "32Q3_K");
  EXPECT_EQ(runs("Q2_K_S", "ffn_down", llama_7b), "4Q4_K 28Q2_K");
  EXPECT_EQ(runs("Q6_K", "ffn_down", llama_7b), "32Q6_K");
}

TEST(TypeMix, shared_value_heads_get_more_bits) {
  EXPECT_EQ(runs("Q2_K", "attn_v", llama_70b), "80Q5_K");  // Q4_K by the mix, Q5_K by the 70B rule
  EXPECT_EQ(runs("Q3_K_S", "attn_v", llama_70b), "80Q5_K");
  EXPECT_EQ(runs("Q4_K_S", "attn_v", llama_70b), "80Q5_K");
  EXPECT_EQ(runs("Q3_K_S", "attn_q", llama_70b), "80Q3_K");
  const ModelTraits llama_3_8b{32, 32, 8, false, false};
  EXPECT_EQ(runs("Q2_K", "attn_v", llama_3_8b), "32Q4_K");
  EXPECT_EQ(runs("Q2_K_S", "attn_v", llama_3_8b), "32Q4_K");
}

TEST(TypeMix, mixes_of_i_quants) {
  ModelTraits weighted = llama_7b;
  weighted.importance = true;
  EXPECT_EQ(runs("IQ2_XXS", "attn_v", weighted), "32Q2_K");
  EXPECT_EQ(runs("IQ2_XXS", "ffn_down", weighted), "4Q2_K 28IQ2_XXS");
  EXPECT_EQ(runs("IQ2_M", "attn_v", weighted), "32IQ3_S");
  EXPECT_EQ(runs("IQ2_M", "attn_output", weighted), "32IQ3_S");
  EXPECT_EQ(runs("IQ2_S", "attn_q", weighted), "32IQ2_XS");
  EXPECT_EQ(runs("IQ1_S", "attn_output", weighted), "32IQ2_XXS");
  EXPECT_EQ(runs("IQ3_XXS", "attn_v", weighted), "32IQ3_XXS");
  EXPECT_EQ(runs("IQ3_XXS", "attn_v", llama_7b), "32IQ3_S");
  EXPECT_EQ(runs("IQ3_XXS", "attn_k", weighted), "32IQ2_S");
  EXPECT_EQ(runs("IQ3_XXS", "ffn_down", llama_7b), "4Q4_K 28Q3_K");
  EXPECT_EQ(runs("IQ3_XS", "ffn_up", weighted), "4IQ3_S 24IQ3_XXS 4IQ3_S");
  EXPECT_EQ(runs("IQ3_M", "ffn_down", weighted), "4Q4_K 28IQ3_S");
  EXPECT_EQ(runs("IQ4_XS", "ffn_down", llama_7b), "4Q5_K 28IQ4_XS");
  EXPECT_EQ(runs("IQ4_XS", "ffn_down", weighted), "32IQ4_XS");
  EXPECT_EQ(type_of("IQ2_XXS", "output.weight", weighted), "Q5_K");
  EXPECT_EQ(type_of("IQ2_XXS", "token_embd.weight", weighted), "Q2_K");
  EXPECT_EQ(type_of("IQ3_XXS", "token_embd.weight", weighted), "IQ3_S");
}

TEST(TypeMix, output_head_and_embedding) {
  EXPECT_EQ(type_of("Q4_0", "output.weight", llama_7b), "Q6_K");
  EXPECT_EQ(type_of("Q8_0", "output.weight", llama_7b), "Q8_0");
  EXPECT_EQ(type_of("F16", "output.weight", llama_7b), "F16");
  EXPECT_EQ(type_of("Q4_K_M", "token_embd.weight", llama_7b), "Q4_K");
  ModelTraits tied = llama_7b;
  tied.tied = true;
  EXPECT_EQ(type_of("Q4_K_M", "token_embd.weight", tied), "Q6_K");
}

TEST(TypeMix, importance_guards_the_first_layers_of_the_old_types) {
  ModelTraits weighted = llama_7b;
  weighted.importance = true;
  EXPECT_EQ(runs("Q4_0", "ffn_down", llama_7b), "32Q4_0");
  EXPECT_EQ(runs("Q4_0", "ffn_down", weighted), "4Q4_1 28Q4_0");
  EXPECT_EQ(runs("Q5_0", "ffn_down", weighted), "4Q5_1 28Q5_0");
}

TEST(TypeMix, types_fall_back_as_in_llama_cpp) {
  TypeMix mix;
  const auto falls = [&](std::string_view name, std::uint64_t cols) {
    mix.named = find_mix(name);
    mix.pure = true;
    const TypeChoice choice = choose_type(tensor("blk.0.attn_q.weight", cols), mix, llama_7b);
    EXPECT_EQ(choice.wanted, mix.named->type);
    return choice.type;
  };
  EXPECT_EQ(falls("Q4_K_M", 512), DType::q4_k);
  EXPECT_EQ(falls("Q4_K_M", 576), DType::q5_0);
  EXPECT_EQ(falls("Q5_K_M", 576), DType::q5_1);
  EXPECT_EQ(falls("Q6_K", 576), DType::q8_0);
  EXPECT_EQ(falls("IQ4_XS", 576), DType::iq4_nl);
  EXPECT_EQ(falls("Q3_K_M", 576), DType::q4_0);
  EXPECT_EQ(falls("Q2_K", 576), DType::q4_0);
  EXPECT_EQ(falls("Q2_K", 33), DType::f16);
  EXPECT_EQ(falls("Q8_0", 33), DType::f16);
}

TEST(TypeMix, MXFP4_MOE_is_Q8_0_where_there_are_no_experts) {
  for (const char* name :
       {"blk.0.ffn_down.weight", "blk.3.attn_v.weight", "output.weight", "token_embd.weight"})
    EXPECT_EQ(type_of("MXFP4_MOE", name, llama_7b), "Q8_0") << name;
}

TEST(TypeMix, a_tied_embedding_follows_its_own_type_before_that_of_the_output) {
  TypeMix mix;
  mix.named = find_mix("Q4_K_M");
  mix.output_type = DType::q8_0;
  ModelTraits tied = llama_7b;
  tied.tied = true;
  EXPECT_EQ(choose_type(tensor("token_embd.weight"), mix, tied).type, DType::q8_0);
  mix.embedding_type = DType::q5_0;
  EXPECT_EQ(choose_type(tensor("token_embd.weight"), mix, tied).type, DType::q5_0);
}

TEST(TypeMix, names_decide_by_the_first_pattern_that_is_found) {
  TypeMix mix;
  mix.named = find_mix("Q4_K_M");
  mix.by_name = {{Pattern("blk\\.[01]\\.attn_q"), DType::q8_0}, {Pattern("attn_q"), DType::q5_1}};
  EXPECT_EQ(choose_type(tensor("blk.1.attn_q.weight"), mix, llama_7b).type, DType::q8_0);
  EXPECT_EQ(choose_type(tensor("blk.2.attn_q.weight"), mix, llama_7b).type, DType::q5_1);
  EXPECT_EQ(choose_type(tensor("blk.2.attn_k.weight"), mix, llama_7b).type, DType::q4_k);
  mix.leave_output = true;
  EXPECT_EQ(choose_type(tensor("output.weight"), mix, llama_7b).type, DType::f16);
}

TEST(TypeMix, traits_come_from_metadata_and_names) {
  const GgufMetadata metadata = {{"llama.attention.head_count", std::uint32_t{32}},
                                 {"llama.attention.head_count_kv", std::uint32_t{8}}};
  const ModelTraits traits =
      traits_of(metadata, {tensor("blk.0.attn_q.weight"), tensor("blk.21.attn_q.weight")});
  EXPECT_EQ(traits.layers, 22U);
  EXPECT_EQ(traits.heads, 32U);
  EXPECT_EQ(traits.kv_heads, 8U);
  EXPECT_TRUE(traits.tied);
  EXPECT_FALSE(traits_of({}, {tensor("output.weight")}).tied);
}

}  // namespace
}  // namespace galatea
