#include "verify/bits_picture.h"

#include <gtest/gtest.h>

namespace galatea {
namespace {

Tensor tensor(const std::string& name, DType type) {
  const std::uint64_t row = type_info(type).bytes_for(256);
  return {name, {4, 256}, memory_rows(std::vector<std::byte>(4 * row), type, 4, 256), {}, 0};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::vector<Tensor> model() {
  return {tensor("token_embd.weight", DType::q4_k), tensor("blk.0.attn_q.weight", DType::q4_k),
          tensor("blk.0.ffn_down.weight", DType::q6_k), tensor("blk.1.attn_q.weight", DType::q4_k),
          tensor("output.weight", DType::q8_0)};
}

TEST(BitsPicture, has_a_bar_for_each_layer_and_a_cell_for_each_matrix) {
  const std::string svg = bits_picture("m.gguf", model());
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(count(svg, "<rect"), 1 + 4 + 5 + 3U);  // ground, bars, cells, list
  EXPECT_EQ(count(svg, "<title>layer 1: 4.50 bits"), 1U);
  EXPECT_EQ(count(svg, "<title>layer 0: 5.53 bits"), 1U);
  EXPECT_EQ(count(svg, "blk.0.ffn_down.weight: Q6_K, 6.56 bits"), 1U);
  EXPECT_EQ(count(svg, "5.53 bits for each weight"), 0U);
  EXPECT_EQ(count(svg, ">5 tensors, 5,120 values"), 1U);
  EXPECT_EQ(count(svg, "http"), 1U) << "nothing is fetched";
}

TEST(BitsPicture, names_of_any_scheme_are_understood) {
  const std::vector<Tensor> hf = {tensor("model.embed_tokens.weight", DType::f16),
                                  tensor("model.layers.0.self_attn.q_proj.weight", DType::f16)};
  EXPECT_EQ(count(bits_picture("m", hf), "<rect"), 1 + 2 + 2 + 1U);
}

TEST(BitsPicture, names_that_are_hostile_or_foreign_do_no_harm) {
  std::vector<Tensor> tensors = {tensor("<script>&\"", DType::q4_0),
                                 tensor("blk.99999999.attn_q.weight", DType::q4_0)};
  const std::string svg = bits_picture("<script>\x1b[2J", tensors);
  EXPECT_EQ(count(svg, "<script"), 0U);
  EXPECT_EQ(count(svg, "&lt;script&gt;"), 1U);
  EXPECT_EQ(count(svg, "\x1b"), 0U);
  EXPECT_EQ(count(svg, "<rect"), 2U);  // ground and list
  EXPECT_LT(svg.size(), 4000U);
  EXPECT_TRUE(bits_picture("nothing", {}).ends_with("</svg>\n"));
}

}  // namespace
}  // namespace galatea
