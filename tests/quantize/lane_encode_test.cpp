#include "quantize/lane_encode.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
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
using test::Kind;
using test::lane_kinds;
using test::stored_floats;

struct Row {
  DType type;
  const char* name;  ///< in ggml
  EncodeRows LaneEncoders::*encode;
  bool plain;            ///< encoded without importance too
  bool grid = false;     ///< ggml gives up (aborts) where sums of its grid search overflow or vanish
  bool weighted = true;  ///< importance changes something
};
constexpr Row rows[] = {{DType::q2_k, "q2_K", &LaneEncoders::q2_k, true},
                        {DType::q3_k, "q3_K", &LaneEncoders::q3_k, true},
                        {DType::q4_k, "q4_K", &LaneEncoders::q4_k, true},
                        {DType::q5_k, "q5_K", &LaneEncoders::q5_k, true},
                        {DType::q6_k, "q6_K", &LaneEncoders::q6_k, true},
                        {DType::q4_0, "q4_0", &LaneEncoders::q4_0, false},
                        {DType::q4_1, "q4_1", &LaneEncoders::q4_1, false},
                        {DType::q5_0, "q5_0", &LaneEncoders::q5_0, false},
                        {DType::q5_1, "q5_1", &LaneEncoders::q5_1, false},
                        {DType::iq4_nl, "iq4_nl", &LaneEncoders::iq4_nl, true},
                        {DType::iq4_xs, "iq4_xs", &LaneEncoders::iq4_xs, true},
                        {DType::tq1_0, "tq1_0", &LaneEncoders::tq1_0, true, false, false},
                        {DType::tq2_0, "tq2_0", &LaneEncoders::tq2_0, true, false, false},
                        {DType::mxfp4, "mxfp4", &LaneEncoders::mxfp4, true, false, false},
                        {DType::iq2_xxs, "iq2_xxs", &LaneEncoders::iq2_xxs, false, true},
                        {DType::iq2_xs, "iq2_xs", &LaneEncoders::iq2_xs, false, true},
                        {DType::iq2_s, "iq2_s", &LaneEncoders::iq2_s, true, true},
                        {DType::iq3_xxs, "iq3_xxs", &LaneEncoders::iq3_xxs, true, true},
                        {DType::iq3_s, "iq3_s", &LaneEncoders::iq3_s, true, true},
                        {DType::iq1_s, "iq1_s", &LaneEncoders::iq1_s, false, true},
                        {DType::iq1_m, "iq1_m", &LaneEncoders::iq1_m, true, true}};

std::string name_of(Kind kind) { return "kind " + std::to_string(static_cast<int>(kind)); }

/// Squared activations as a calibration gives them, some zeros and some outliers.
std::vector<float> importance(std::size_t cols, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> weights(cols);
  for (float& weight : weights) {
    const float value = normal(random) * (random() % 50 == 0 ? 30.0F : 1.0F);
    weight = random() % 64 == 0 ? 0.0F : value * value;
  }
  return weights;
}

std::string encode(const Row& row, Isa isa, const std::vector<float>& values, std::size_t cols,
                   const float* weights) {
  std::string out(type_info(row.type).bytes_for(values.size()), '\xAA');
  (lane_encoders(isa).*row.encode)(values.data(), reinterpret_cast<std::byte*>(out.data()),
                                   values.size() / cols, cols, weights);
  return out;
}

std::string describe(const Row& row, const std::string& values, Isa isa, bool weighted) {
  return std::string(type_info(row.type).name) + ", " + values + ", " + std::string(to_string(isa)) +
         (weighted ? ", with importance" : "");
}

TEST(LaneEncode, gives_the_bytes_of_ggml_on_every_path) {
  const std::vector<float> values = stored_floats("weights.f32");
  const std::vector<float> weights = stored_floats("importance.f32");
  for (const Row& row : rows) {
    for (const bool weighted : {false, true}) {
      if (weighted ? !row.weighted : !row.plain) continue;
      const std::string name =
          std::string("quantize/") + row.name + (weighted ? ".weighted.bin" : ".rows.bin");
      const std::string expected = test::read_bytes(test::test_data(name));
      for (const Isa isa : available_isas()) {
        expect_same_blocks(expected,
                           encode(row, isa, values, weights.size(), weighted ? weights.data() : nullptr),
                           type_info(row.type).block_bytes, describe(row, "stored values", isa, weighted));
      }
    }
  }
}

TEST(LaneEncode, GgmlLibrary_gives_the_same_bytes) {
  const char* library = std::getenv("GALATEA_GGML_LIBRARY");
  if (library == nullptr)
    GTEST_SKIP()
        << "scripts/compare_ggml.sh LIBRARY runs it, with a library that has the quantize_* of ggml, "
           "built without contraction";
  void* handle = dlopen(library, RTLD_LAZY);
  ASSERT_NE(handle, nullptr) << dlerror();
  constexpr std::size_t cols = 9 * std::size_t{256};
  const std::size_t row_count = test::library_blocks(72) / 9 + 1;
  std::mt19937_64 random(2);
  std::vector<float> values(row_count * cols);
  std::uint64_t compared = 0;
  for (const Kind kind : lane_kinds) {
    fill(values, kind, random);
    const std::vector<float> weights = importance(cols, random);
    for (const Row& row : rows) {
      const bool extreme = kind == Kind::subnormal || kind == Kind::tiny_or_zero ||
                           kind == Kind::small_scales || kind == Kind::wide_range;
      if (row.grid && extreme) continue;
      void* symbol = dlsym(handle, (std::string("quantize_") + row.name).c_str());
      ASSERT_NE(symbol, nullptr) << row.name;
      const auto reference =
          reinterpret_cast<std::size_t (*)(const float*, void*, std::int64_t, std::int64_t, const float*)>(
              symbol);
      for (const float* given : {static_cast<const float*>(nullptr), weights.data()}) {
        if (given == nullptr ? !row.plain : !row.weighted) continue;
        std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
        reference(values.data(), expected.data(), static_cast<std::int64_t>(row_count),
                  static_cast<std::int64_t>(cols), given);
        compared += expected.size() / type_info(row.type).block_bytes;
        for (const Isa isa : available_isas()) {
          if (isa > Isa::avx512) continue;
          expect_same_blocks(expected, encode(row, isa, values, cols, given), type_info(row.type).block_bytes,
                             describe(row, name_of(kind), isa, given != nullptr));
        }
      }
    }
  }
  std::printf("%llu blocks compared, by every path\n", static_cast<unsigned long long>(compared));
  dlclose(handle);
}

// ggml's IQ3_S has no room for groups of zeros: what is behind them comes too early, zeros at the end.
TEST(LaneEncode, IQ3_S_closes_up_behind_groups_of_zeros_as_ggml_does) {
  const Row& row = rows[18];
  ASSERT_EQ(row.type, DType::iq3_s);
  std::mt19937_64 random(5);
  std::vector<float> values(256);
  fill(values, Kind::weights, random);
  const std::string whole = encode(row, Isa::scalar, values, 256, nullptr);
  for (const std::size_t group : {1U, 4U}) std::fill_n(&values[32 * group], 32, 0.0F);
  for (const Isa isa : available_isas()) {
    const std::string bytes = encode(row, isa, values, 256, nullptr);
    EXPECT_EQ(bytes.substr(66 + 4, 1), std::string(1, '\0')) << "the high bits stay in place";
    EXPECT_EQ(bytes.substr(2 + 48, 16), std::string(16, '\0'));
    EXPECT_EQ(bytes.substr(74 + 24, 8), std::string(8, '\0'));
    // The signs tell the groups apart: 0, 2, 3, 5, 6, 7.
    std::string signs;
    for (const std::size_t group : {0U, 2U, 3U, 5U, 6U, 7U}) signs += whole.substr(74 + 4 * group, 4);
    EXPECT_EQ(bytes.substr(74, 24), signs) << to_string(isa);
  }
}

TEST(LaneEncode, paths_agree_with_each_other_for_any_number_of_blocks) {
  std::mt19937_64 random(4);
  for (const std::size_t blocks : {1U, 3U, 9U}) {
    const std::size_t cols = 256 * blocks;
    std::vector<float> values(2 * cols);
    const std::vector<float> weights = importance(cols, random);
    for (const Kind kind : lane_kinds) {
      fill(values, kind, random);
      for (const Row& row : rows) {
        for (const float* given : {static_cast<const float*>(nullptr), weights.data()}) {
          if (given == nullptr && !row.plain) continue;
          const std::string expected = encode(row, Isa::scalar, values, cols, given);
          for (const Isa isa : available_isas()) {
            expect_same_blocks(expected, encode(row, isa, values, cols, given),
                               type_info(row.type).block_bytes,
                               describe(row, name_of(kind), isa, given != nullptr));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace galatea
