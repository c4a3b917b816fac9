// Blocks of every quantized type against ggml's own dequantize_row_* and against any bytes; what gguf-py
// decodes is in gguf_test.cpp.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/block_decode_paths.h"
#include "format/block_decode_small.h"
#include "format/dtype.h"
#include "format/iq_grids.h"

namespace galatea {
namespace {

std::vector<std::byte> random_bytes(std::size_t count, std::mt19937_64& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& value : bytes) value = static_cast<std::byte>(random());
  return bytes;
}

/// ggml's spelling: "q4_K", "iq2_xxs".
std::string ggml_name(const TypeInfo& type) {
  std::string name(type.name);
  const bool k_quant = name.ends_with("_K");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (k_quant) name.back() = 'K';
  return name;
}

/// Which of two NaNs their sum keeps is the compiler's choice.
bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

TEST(BlockDecode, any_bytes_give_a_value_for_every_element) {
  std::mt19937_64 random(1);
  for (const TypeInfo& type : all_types()) {
    if (!type.quantized()) continue;
    constexpr std::size_t blocks = 500;
    std::vector<std::byte> bytes = random_bytes(blocks * type.block_bytes, random);
    std::fill_n(bytes.begin(), type.block_bytes, std::byte{0xFF});
    // One byte beside the blocks: reading or writing past them is seen by the sanitizers.
    std::vector<float> values(blocks * type.block_length, -12345.0F);
    type.decode(bytes.data(), values.data(), values.size());
    EXPECT_EQ(std::count(values.begin(), values.end(), -12345.0F), 0) << type.name;
  }
}

TEST(BlockDecode, every_path_gives_the_same_bits) {
  constexpr std::size_t blocks = 501;
  const std::pair<DType, DecodeBlocks BlockDecoders::*> decoders[] = {
      {DType::q4_0, &BlockDecoders::q4_0}, {DType::q4_1, &BlockDecoders::q4_1},
      {DType::q5_0, &BlockDecoders::q5_0}, {DType::q5_1, &BlockDecoders::q5_1},
      {DType::q8_0, &BlockDecoders::q8_0}, {DType::q2_k, &BlockDecoders::q2_k},
      {DType::q3_k, &BlockDecoders::q3_k}, {DType::q4_k, &BlockDecoders::q4_k},
      {DType::q5_k, &BlockDecoders::q5_k}, {DType::q6_k, &BlockDecoders::q6_k}};
  std::mt19937_64 random(2);
  for (const auto& [dtype, decoder] : decoders) {
    const TypeInfo& type = type_info(dtype);
    const std::vector<std::byte> bytes = random_bytes(blocks * type.block_bytes, random);
    std::vector<float> expected(blocks * type.block_length);
    (block_decoders(Isa::scalar).*decoder)(bytes.data(), expected.data(), expected.size());
    for (const Isa isa : available_isas()) {
      std::vector<float> values(expected.size());
      (block_decoders(isa).*decoder)(bytes.data(), values.data(), values.size());
      const bool same = std::equal(values.begin(), values.end(), expected.begin(), same_bits);
      EXPECT_TRUE(same) << type.name << " by " << to_string(isa);
    }
  }
}

TEST(BlockDecode, a_block_of_zero_bytes_is_small) {
  for (const TypeInfo& type : all_types()) {
    if (!type.quantized()) continue;
    const std::vector<std::byte> bytes(type.block_bytes);
    std::vector<float> values(type.block_length);
    type.decode(bytes.data(), values.data(), values.size());
    for (const float value : values) EXPECT_EQ(value, 0.0F) << type.name;
  }
}

TEST(BlockDecode, GgmlLibrary_agrees_on_any_bytes) {
  const char* library = std::getenv("GALATEA_GGML_LIBRARY");
  if (library == nullptr)
    GTEST_SKIP()
        << "scripts/compare_ggml.sh LIBRARY runs it, with a library that has the dequantize_row_* of ggml";
  void* handle = dlopen(library, RTLD_LAZY);
  ASSERT_NE(handle, nullptr) << dlerror();
  std::mt19937_64 random(2);
  for (const TypeInfo& type : all_types()) {
    if (!type.quantized()) continue;
    void* symbol = dlsym(handle, ("dequantize_row_" + ggml_name(type)).c_str());
    ASSERT_NE(symbol, nullptr) << type.name;
    const auto reference = reinterpret_cast<void (*)(const void*, float*, std::int64_t)>(symbol);
    const char* wanted = std::getenv("GALATEA_GGML_BLOCKS");
    const std::size_t blocks = 20'000;
    const std::size_t rounds = wanted == nullptr ? 3 : std::strtoull(wanted, nullptr, 10) / blocks + 1;
    for (std::size_t round = 0; round < rounds; ++round) {
      const std::vector<std::byte> bytes = random_bytes(blocks * type.block_bytes, random);
      std::vector<float> expected(blocks * type.block_length), got(expected.size());
      reference(bytes.data(), expected.data(), static_cast<std::int64_t>(expected.size()));
      type.decode(bytes.data(), got.data(), got.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(same_bits(expected[i], got[i]))
            << type.name << ", block " << i / type.block_length << ", element " << i % type.block_length;
      }
    }
  }
  dlclose(handle);
}

TEST(IqGrids, every_code_is_a_point_of_its_grid_once_and_in_order) {
  for (const IqGrid grid :
       {IqGrid::iq2_xxs, IqGrid::iq2_xs, IqGrid::iq2_s, IqGrid::iq1, IqGrid::iq3_xxs, IqGrid::iq3_s}) {
    const auto codes = iq_codes(grid);
    EXPECT_TRUE(std::is_sorted(codes.begin(), codes.end()));
    EXPECT_EQ(std::adjacent_find(codes.begin(), codes.end()), codes.end());
    const bool of_four = grid == IqGrid::iq3_xxs || grid == IqGrid::iq3_s;
    for (const std::uint16_t code : codes) {
      // Three levels in two bits, eight in three.
      EXPECT_EQ(of_four ? code >> 12U : (code & (code >> 1U)) & 0x5555U, 0U);
    }
  }
  EXPECT_EQ(iq_points8(IqGrid::iq2_s).size(), 1024U);
  EXPECT_EQ(iq_points8(IqGrid::iq1).size(), 2048U);
  EXPECT_EQ(iq_points8(IqGrid::iq1)[0], (IqPoint8{-1, -1, -1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(iq_points4(IqGrid::iq3_xxs)[1], (IqPoint4{20, 4, 4, 4}));
  EXPECT_EQ(iq_points4(IqGrid::iq3_s)[1], (IqPoint4{3, 1, 1, 1}));
}

TEST(IqGrids, signs_are_even) {
  for (unsigned seven = 0; seven < 128; ++seven) {
    unsigned count = 0;
    for (unsigned bits = iq_even_signs(seven); bits != 0; bits >>= 1U) count += bits & 1U;
    EXPECT_EQ(count % 2, 0U) << seven;
    EXPECT_EQ(iq_even_signs(seven) & 127U, seven);
  }
}

TEST(BlockDecode, mxfp4_scales_are_powers_of_two) {
  for (int exponent = 0; exponent < 256; ++exponent) {
    EXPECT_EQ(mxfp4_scale(static_cast<std::uint8_t>(exponent)), std::ldexp(1.0F, exponent - 128)) << exponent;
  }
}

}  // namespace
}  // namespace galatea
