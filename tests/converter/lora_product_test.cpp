#include "converter/lora_product.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "converter/lora_rows.h"
#include "format/error.h"
#include "format/hash.h"
#include "tests/support/files.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

TEST(LoraProduct, has_the_bits_of_torch_on_every_path) {
  const auto golden = nlohmann::json::parse(test::read_bytes(test::test_data("lora/product.json")));
  std::uint64_t number = 0;
  for (const auto& entry : golden.at("products")) {
    const std::uint64_t rows = entry.at("rows"), rank = entry.at("rank"), cols = entry.at("cols");
    const std::vector<float> left = oracle_matrix(number, rows * rank);
    const std::vector<float> right = oracle_matrix(number + 1, rank * cols);
    number += 2;
    for (const Isa isa : available_isas()) {
      std::vector<float> out(rows * cols, NAN);
      lora_product(left, right, out, rank, isa);
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(out))), entry.at("sha256").get<std::string>())
          << rows << " x " << rank << " x " << cols << " on " << to_string(isa);
    }
  }
  EXPECT_EQ(number, 18U);
}

TEST(LoraProduct, in_float64_has_the_same_bits_on_every_path) {
  for (const auto& [rows, rank, cols] :
       {std::array<std::uint64_t, 3>{1, 1, 1}, {3, 8, 300}, {66, 17, 257}, {5, 400, 40}}) {
    const std::vector<float> left = oracle_matrix(7, rows * rank), right = oracle_matrix(8, rank * cols);
    for (const Isa isa : available_isas()) {
      std::vector<double> out(rows * cols, NAN);
      lora_product(left, right, out, rank, isa);
      for (std::uint64_t i = 0; i < rows * cols; ++i) {
        double sum = 0;
        for (std::uint64_t k = 0; k < rank; ++k)
          sum += double{left[i / cols * rank + k]} * double{right[k * cols + i % cols]};
        ASSERT_EQ(out[i], sum) << rank << ", " << i << " on " << to_string(isa);
      }
    }
  }
}

TEST(LoraProduct, chain_is_cut_above_rank_384) {
  EXPECT_EQ(lora_chain_length(1), 1U);
  EXPECT_EQ(lora_chain_length(384), 384U);
  EXPECT_EQ(lora_chain_length(385), 193U);
  EXPECT_EQ(lora_chain_length(767), 384U);
  EXPECT_EQ(lora_chain_length(768), 384U);
  EXPECT_EQ(lora_chain_length(5000), 384U);
}

TEST(LoraProduct, refuses_matrices_that_do_not_fit) {
  std::vector<float> a(6), out(4);
  EXPECT_THROW(lora_product(a, a, out, 2), Error);
  EXPECT_THROW(lora_product(a, a, out, 0), Error);
}

TEST(LoraRows, any_range_of_rows_is_the_same_as_the_whole) {
  const std::uint64_t in = 70, out = 33, rank = 5;
  const std::vector<float> base = oracle_matrix(90, in * out), down = oracle_matrix(91, rank * in),
                           up = oracle_matrix(92, out * rank);
  for (const bool transposed : {false, true}) {
    const std::uint64_t rows = transposed ? in : out, cols = transposed ? out : in;
    const RowsPtr merged =
        lora_rows(memory_rows(base, rows, cols),
                  {memory_rows(down, rank, in), memory_rows(up, out, rank), 0.3, transposed});
    std::vector<float> whole(rows * cols);
    merged->read_f32(0, rows, whole);
    for (std::uint64_t r = 0; r < rows; ++r) {
      for (std::uint64_t c = 0; c < cols; ++c) {
        const std::uint64_t o = transposed ? c : r, i = transposed ? r : c;
        float sum = 0;
        for (std::uint64_t k = 0; k < rank; ++k) sum = std::fma(up[o * rank + k], down[k * in + i], sum);
        const float change = sum * 0.3F;
        EXPECT_EQ(whole[r * cols + c], base[r * cols + c] + change) << r << ", " << c;
      }
    }
    std::vector<std::byte> some(3 * merged->row_bytes());
    merged->read(7, 3, some);
    EXPECT_EQ(std::memcmp(some.data(), whole.data() + 7 * cols, some.size()), 0);
  }
}

TEST(LoraRows, refuses_shapes_that_do_not_fit) {
  const std::vector<float> ones(64, 1.0F);
  const RowsPtr base = memory_rows(std::span(ones).first(12), 3, 4);
  const auto rows = [&](std::uint64_t r, std::uint64_t c) {
    return memory_rows(std::span(ones).first(r * c), r, c);
  };
  EXPECT_NO_THROW(lora_rows(base, {rows(2, 4), rows(3, 2), 1, false}));
  EXPECT_THROW(lora_rows(base, {rows(2, 4), rows(3, 3), 1, false}), Error);
  EXPECT_THROW(lora_rows(base, {rows(2, 3), rows(3, 2), 1, false}), Error);
  EXPECT_THROW(lora_rows(base, {rows(2, 4), rows(3, 2), 1, true}), Error);
}

}  // namespace
}  // namespace galatea
