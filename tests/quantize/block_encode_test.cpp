#include "quantize/block_encode.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "tests/quantize/encode_samples.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::expect_same_blocks;
using test::fill;

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

TEST(BlockEncode, gives_the_bytes_of_ggmls_reference_on_every_path) {
  const std::vector<float> weights = test::stored_floats("weights.f32");
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

TEST(BlockEncode, GgmlLibrary_gives_the_same_bytes) {
  const char* library = std::getenv("GALATEA_GGML_LIBRARY");
  if (library == nullptr)
    GTEST_SKIP()
        << "scripts/compare_ggml.sh LIBRARY runs it, with a library that has the quantize_row_*_ref of "
           "ggml, built without contraction";
  void* handle = dlopen(library, RTLD_LAZY);
  ASSERT_NE(handle, nullptr) << dlerror();
  std::mt19937_64 random(2);
  std::vector<float> values(32 * test::library_blocks(65536));
  std::uint64_t compared = 0;
  for (const test::Kind kind : test::block_kinds) {
    fill(values, kind, random);
    for (const Row& row : rows) {
      void* symbol = dlsym(handle, (std::string("quantize_row_") + row.name + "_ref").c_str());
      ASSERT_NE(symbol, nullptr) << row.name;
      const auto reference = reinterpret_cast<void (*)(const float*, void*, std::int64_t)>(symbol);
      std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
      std::string got(expected.size(), '\xAA');
      reference(values.data(), expected.data(), static_cast<std::int64_t>(values.size()));
      compared += expected.size() / type_info(row.type).block_bytes;
      for (const BlockEncoders* path : every_path()) {
        (path->*row.encode)(values.data(), reinterpret_cast<std::byte*>(got.data()), values.size());
        expect_same_blocks(expected, got, type_info(row.type).block_bytes,
                           std::string(row.name) + ", kind " + std::to_string(static_cast<int>(kind)));
      }
    }
  }
  std::printf("%llu blocks compared, by every path\n", static_cast<unsigned long long>(compared));
  dlclose(handle);
}

TEST(BlockEncode, paths_agree_with_each_other_on_any_finite_bits) {
  if (block_encoders_avx2() == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  std::mt19937_64 random(4);
  std::vector<float> values(std::size_t{32} << 12U);
  for (const test::Kind kind : test::block_kinds) {
    fill(values, kind, random);
    for (const Row& row : rows) {
      std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
      std::string got(expected.size(), '\xAA');
      (block_encoders_portable().*row.encode)(values.data(), reinterpret_cast<std::byte*>(expected.data()),
                                              values.size());
      (block_encoders_avx2()->*row.encode)(values.data(), reinterpret_cast<std::byte*>(got.data()),
                                           values.size());
      expect_same_blocks(expected, got, type_info(row.type).block_bytes,
                         std::string(row.name) + ", kind " + std::to_string(static_cast<int>(kind)));
    }
  }
}

}  // namespace
}  // namespace galatea
