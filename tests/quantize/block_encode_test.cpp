#include "quantize/block_encode.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

struct Row {
  const char* name;
  DType type;
  EncodeBlocks BlockEncoders::*encode;
};
constexpr Row rows[] = {{"q4_0", DType::q4_0, &BlockEncoders::q4_0},
                        {"q4_1", DType::q4_1, &BlockEncoders::q4_1},
                        {"q5_0", DType::q5_0, &BlockEncoders::q5_0},
                        {"q5_1", DType::q5_1, &BlockEncoders::q5_1},
                        {"q8_0", DType::q8_0, &BlockEncoders::q8_0}};

std::vector<const BlockEncoders*> every_path() {
  std::vector<const BlockEncoders*> paths{&block_encoders_portable()};
  if (block_encoders_avx2() != nullptr) paths.push_back(block_encoders_avx2());
  return paths;
}

void expect_same_blocks(const std::string& expected, const std::string& got, std::size_t block_bytes,
                        const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (std::size_t at = 0; at < expected.size(); at += block_bytes) {
    ASSERT_EQ(std::memcmp(expected.data() + at, got.data() + at, block_bytes), 0)
        << what << ", block " << at / block_bytes;
  }
}

TEST(BlockEncode, gives_the_bytes_of_ggmls_reference_on_every_path) {
  const std::string stored = test::read_bytes(test::test_data("quantize/weights.f32"));
  std::vector<float> weights(stored.size() / 4);
  std::memcpy(weights.data(), stored.data(), stored.size());
  for (const Row& row : rows) {
    const std::string expected =
        test::read_bytes(test::test_data(std::string("quantize/") + row.name + ".bin"));
    for (const BlockEncoders* path : every_path()) {
      std::string got(type_info(row.type).bytes_for(weights.size()), '\xAA');
      (path->*row.encode)(weights.data(), reinterpret_cast<std::byte*>(got.data()), weights.size());
      expect_same_blocks(expected, got, type_info(row.type).block_bytes, row.name);
    }
  }
}

/// Blocks of one kind; more and stranger ones than the committed blocks.
void fill(std::vector<float>& values, int kind, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const auto coin = [&] { return (random() & 1U) != 0; };
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t block = i / 32;
    const float scale = std::ldexp(1.0F, static_cast<int>(block % 20) - 14);
    float& value = values[i];
    switch (kind) {
      case 0:
        value = normal(random) * 0.02F;
        break;
      case 1:
        value = normal(random) / (std::abs(normal(random)) + 1e-3F) * scale;
        break;
      case 2:
        value = i % 32 == 0 ? normal(random) * scale : values[i - 1];
        break;
      case 3:
        value = coin() ? 0.0F : -0.0F;
        break;
      case 4:
        value = std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0x807FFFFFU);
        break;
      case 5:
        value = normal(random) * (i % 33 == 0 ? 1000.0F * scale : scale);
        break;
      case 6:
        do value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        while (!std::isfinite(value));
        break;
      case 7:
        value = static_cast<float>(static_cast<int>(random() % 33) - 16) * scale;
        break;
      case 8:
        value = static_cast<float>(static_cast<int>(random() % 509) - 254) * 0.5F * scale;
        break;
      case 9:
        value = coin() ? std::ldexp(normal(random), -126 - static_cast<int>(random() % 24)) : 0.0F;
        break;
      case 10:
        value = std::abs(normal(random)) * scale;
        break;
      case 11:
        value = -std::abs(normal(random)) * scale;
        break;
      case 12:
        value = std::ldexp(normal(random), -122 - static_cast<int>(block % 10));
        break;
      default:
        value = coin() ? FLT_MAX : -FLT_MAX * (coin() ? 1.0F : 0.3F);
        break;
    }
  }
}

TEST(BlockEncode, GgmlLibrary_agrees_over_millions_of_blocks) {
  const char* library = std::getenv("GALATEA_GGML_LIBRARY");
  if (library == nullptr)
    GTEST_SKIP() << "needs GALATEA_GGML_LIBRARY, a library with the quantize_row_*_ref of ggml, built "
                    "without contraction";
  void* handle = dlopen(library, RTLD_LAZY);
  ASSERT_NE(handle, nullptr) << dlerror();
  std::mt19937_64 random(2);
  std::vector<float> values(std::size_t{32} << 16U);
  for (int kind = 0; kind < 14; ++kind) {
    fill(values, kind, random);
    for (const Row& row : rows) {
      void* symbol = dlsym(handle, (std::string("quantize_row_") + row.name + "_ref").c_str());
      ASSERT_NE(symbol, nullptr) << row.name;
      const auto reference = reinterpret_cast<void (*)(const float*, void*, std::int64_t)>(symbol);
      std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
      std::string got(expected.size(), '\xAA');
      reference(values.data(), expected.data(), static_cast<std::int64_t>(values.size()));
      for (const BlockEncoders* path : every_path()) {
        (path->*row.encode)(values.data(), reinterpret_cast<std::byte*>(got.data()), values.size());
        expect_same_blocks(expected, got, type_info(row.type).block_bytes,
                           std::string(row.name) + ", kind " + std::to_string(kind));
      }
    }
  }
  dlclose(handle);
}

TEST(BlockEncode, paths_agree_with_each_other_on_any_finite_bits) {
  if (block_encoders_avx2() == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  std::mt19937_64 random(4);
  std::vector<float> values(std::size_t{32} << 12U);
  for (int kind = 0; kind < 14; ++kind) {
    fill(values, kind, random);
    for (const Row& row : rows) {
      std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
      std::string got(expected.size(), '\xAA');
      (block_encoders_portable().*row.encode)(values.data(), reinterpret_cast<std::byte*>(expected.data()),
                                              values.size());
      (block_encoders_avx2()->*row.encode)(values.data(), reinterpret_cast<std::byte*>(got.data()),
                                           values.size());
      expect_same_blocks(expected, got, type_info(row.type).block_bytes,
                         std::string(row.name) + ", kind " + std::to_string(kind));
    }
  }
}

}  // namespace
}  // namespace galatea
