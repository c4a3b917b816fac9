#include "quantize/lane_encode.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

struct Row {
  DType type;
  const char* name;  ///< in ggml
  EncodeRows LaneEncoders::*encode;
  bool plain;         ///< encoded without importance too
  bool grid = false;  ///< ggml gives up (aborts) where sums of its grid search overflow or vanish
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
                        {DType::tq1_0, "tq1_0", &LaneEncoders::tq1_0, true},
                        {DType::tq2_0, "tq2_0", &LaneEncoders::tq2_0, true},
                        {DType::mxfp4, "mxfp4", &LaneEncoders::mxfp4, true},
                        {DType::iq2_xxs, "iq2_xxs", &LaneEncoders::iq2_xxs, false, true},
                        {DType::iq2_xs, "iq2_xs", &LaneEncoders::iq2_xs, false, true},
                        {DType::iq2_s, "iq2_s", &LaneEncoders::iq2_s, true, true},
                        {DType::iq3_xxs, "iq3_xxs", &LaneEncoders::iq3_xxs, true, true},
                        {DType::iq3_s, "iq3_s", &LaneEncoders::iq3_s, true, true},
                        {DType::iq1_s, "iq1_s", &LaneEncoders::iq1_s, false, true},
                        {DType::iq1_m, "iq1_m", &LaneEncoders::iq1_m, true, true}};

constexpr int kinds = 13;

/// Values of one kind, scales varying by block of 32.
void fill(std::vector<float>& values, int kind, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const auto coin = [&] { return (random() & 1U) != 0; };
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = std::ldexp(1.0F, static_cast<int>(i / 32 % 20) - 14);
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
        value = static_cast<float>(static_cast<int>(random() % 33) - 16) * scale;
        break;
      case 7:
        value = coin() ? std::ldexp(normal(random), -126 - static_cast<int>(random() % 24)) : 0.0F;
        break;
      case 8:
        value = std::abs(normal(random)) * scale;
        break;
      case 9:
        value = -std::abs(normal(random)) * scale;
        break;
      case 10:
        value = std::ldexp(normal(random), -60 - static_cast<int>(i / 64 % 60));
        break;
      case 11:
        value = std::ldexp(normal(random), static_cast<int>(random() % 120) - 60);
        break;
      default:  // a few values in zeros
        value = random() % 40 == 0 ? normal(random) * scale : 0.0F;
        break;
    }
  }
}

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

void expect_same_blocks(const std::string& expected, const std::string& got, std::size_t block_bytes,
                        const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (std::size_t at = 0; at < expected.size(); at += block_bytes) {
    ASSERT_EQ(std::memcmp(expected.data() + at, got.data() + at, block_bytes), 0)
        << what << ", block " << at / block_bytes;
  }
}

std::string describe(const Row& row, int kind, Isa isa, bool weighted) {
  return std::string(type_info(row.type).name) + ", kind " + std::to_string(kind) + ", " +
         std::string(to_string(isa)) + (weighted ? ", with importance" : "");
}

std::vector<float> stored_floats(const std::string& name) {
  const std::string bytes = test::read_bytes(test::test_data("quantize/" + name));
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(LaneEncode, gives_the_bytes_of_ggml_on_every_path) {
  const std::vector<float> values = stored_floats("weights.f32");
  const std::vector<float> weights = stored_floats("importance.f32");
  for (const Row& row : rows) {
    for (const bool weighted : {false, true}) {
      const std::string name =
          std::string("quantize/") + row.name + (weighted ? ".weighted.bin" : ".rows.bin");
      if (!std::filesystem::exists(test::test_data(name))) continue;
      const std::string expected = test::read_bytes(test::test_data(name));
      for (const Isa isa : available_isas()) {
        expect_same_blocks(expected,
                           encode(row, isa, values, weights.size(), weighted ? weights.data() : nullptr),
                           type_info(row.type).block_bytes, describe(row, -1, isa, weighted));
      }
    }
  }
}

TEST(LaneEncode, GgmlLibrary_agrees_over_millions_of_blocks) {
  const char* library = std::getenv("GALATEA_GGML_LIBRARY");
  if (library == nullptr)
    GTEST_SKIP()
        << "needs GALATEA_GGML_LIBRARY, a library with the quantize_* of ggml, built without contraction";
  void* handle = dlopen(library, RTLD_LAZY);
  ASSERT_NE(handle, nullptr) << dlerror();
  const char* wanted = std::getenv("GALATEA_GGML_BLOCKS");
  const std::size_t row_count = wanted == nullptr ? 8 : std::strtoull(wanted, nullptr, 10) / 9 + 1;
  constexpr std::size_t cols = 9 * std::size_t{256};
  std::mt19937_64 random(2);
  std::vector<float> values(row_count * cols);
  std::uint64_t compared = 0;
  for (int kind = 0; kind < kinds; ++kind) {
    fill(values, kind, random);
    const std::vector<float> weights = importance(cols, random);
    for (const Row& row : rows) {
      if (row.grid && (kind == 4 || kind == 7 || kind == 10 || kind == 11)) continue;
      if (row.type == DType::iq3_s && kind == 12) continue;  // see the test of a group of zeros
      void* symbol = dlsym(handle, (std::string("quantize_") + row.name).c_str());
      ASSERT_NE(symbol, nullptr) << row.name;
      const auto reference =
          reinterpret_cast<std::size_t (*)(const float*, void*, std::int64_t, std::int64_t, const float*)>(
              symbol);
      for (const float* given : {static_cast<const float*>(nullptr), weights.data()}) {
        if (given == nullptr && !row.plain) continue;
        std::string expected(type_info(row.type).bytes_for(values.size()), '\0');
        reference(values.data(), expected.data(), static_cast<std::int64_t>(row_count),
                  static_cast<std::int64_t>(cols), given);
        compared += expected.size() / type_info(row.type).block_bytes;
        for (const Isa isa : available_isas()) {
          if (isa > Isa::avx512) continue;
          expect_same_blocks(expected, encode(row, isa, values, cols, given), type_info(row.type).block_bytes,
                             describe(row, kind, isa, given != nullptr));
        }
      }
    }
  }
  RecordProperty("blocks", std::to_string(compared));
  std::printf("%llu blocks compared\n", static_cast<unsigned long long>(compared));
  dlclose(handle);
}

// ggml's IQ3_S writes what follows a group of zeros one group too early, which decodes to other weights.
TEST(LaneEncode, IQ3_S_keeps_its_groups_in_place_behind_a_group_of_zeros) {
  std::mt19937_64 random(5);
  std::vector<float> values(256);
  fill(values, 0, random);
  std::fill_n(values.begin() + 32, 32, 0.0F);
  const std::string bytes = encode(rows[18], Isa::scalar, values, 256, nullptr);
  ASSERT_EQ(rows[18].type, DType::iq3_s);
  std::vector<float> decoded(256);
  type_info(DType::iq3_s).decode(reinterpret_cast<const std::byte*>(bytes.data()), decoded.data(), 256);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(decoded[i], values[i], 0.012) << i;
}

TEST(LaneEncode, paths_agree_with_each_other_for_any_number_of_blocks) {
  std::mt19937_64 random(4);
  for (const std::size_t blocks : {1U, 3U, 9U}) {
    const std::size_t cols = 256 * blocks;
    std::vector<float> values(2 * cols);
    const std::vector<float> weights = importance(cols, random);
    for (int kind = 0; kind < kinds; ++kind) {
      fill(values, kind, random);
      for (const Row& row : rows) {
        for (const float* given : {static_cast<const float*>(nullptr), weights.data()}) {
          if (given == nullptr && !row.plain) continue;
          const std::string expected = encode(row, Isa::scalar, values, cols, given);
          for (const Isa isa : available_isas()) {
            expect_same_blocks(expected, encode(row, isa, values, cols, given),
                               type_info(row.type).block_bytes, describe(row, kind, isa, given != nullptr));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace galatea
