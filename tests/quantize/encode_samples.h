// What the tests of encoders encode: values of many kinds, and what ggml made of the stored ones.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/support/files.h"

namespace galatea::test {

enum class Kind {
  weights,
  heavy_tails,
  constant,
  zeros,
  subnormal,
  outliers,
  halves,
  quarters,
  tiny_or_zero,
  positive,
  negative,
  small_scales,
  wide_range,
  sparse,
  any_bits,
  largest,
  near_subnormal,
};

/// Kinds that every search for scales can take.
inline constexpr std::array lane_kinds = {
    Kind::weights,      Kind::heavy_tails, Kind::constant,     Kind::zeros,    Kind::subnormal,
    Kind::outliers,     Kind::halves,      Kind::tiny_or_zero, Kind::positive, Kind::negative,
    Kind::small_scales, Kind::wide_range,  Kind::sparse};
/// Kinds for rounding alone, up to the limits of float32.
inline constexpr std::array block_kinds = {
    Kind::weights,  Kind::heavy_tails, Kind::constant,       Kind::zeros,    Kind::subnormal,
    Kind::outliers, Kind::any_bits,    Kind::halves,         Kind::quarters, Kind::tiny_or_zero,
    Kind::positive, Kind::negative,    Kind::near_subnormal, Kind::largest,  Kind::sparse};

/// Values of one kind, scales varying by block of 32.
inline void fill(std::vector<float>& values, Kind kind, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const auto coin = [&] { return (random() & 1U) != 0; };
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = std::ldexp(1.0F, static_cast<int>(i / 32 % 20) - 14);
    float& value = values[i];
    switch (kind) {
      case Kind::weights:
        value = normal(random) * 0.02F;
        break;
      case Kind::heavy_tails:
        value = normal(random) / (std::abs(normal(random)) + 1e-3F) * scale;
        break;
      case Kind::constant:
        value = i % 32 == 0 ? normal(random) * scale : values[i - 1];
        break;
      case Kind::zeros:
        value = coin() ? 0.0F : -0.0F;
        break;
      case Kind::subnormal:
        value = std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0x807FFFFFU);
        break;
      case Kind::outliers:
        value = normal(random) * (i % 33 == 0 ? 1000.0F * scale : scale);
        break;
      case Kind::halves:
        value = static_cast<float>(static_cast<int>(random() % 33) - 16) * scale;
        break;
      case Kind::quarters:
        value = static_cast<float>(static_cast<int>(random() % 509) - 254) * 0.5F * scale;
        break;
      case Kind::tiny_or_zero:
        value = coin() ? std::ldexp(normal(random), -126 - static_cast<int>(random() % 24)) : 0.0F;
        break;
      case Kind::positive:
        value = std::abs(normal(random)) * scale;
        break;
      case Kind::negative:
        value = -std::abs(normal(random)) * scale;
        break;
      case Kind::small_scales:
        value = std::ldexp(normal(random), -60 - static_cast<int>(i / 64 % 60));
        break;
      case Kind::wide_range:
        value = std::ldexp(normal(random), static_cast<int>(random() % 120) - 60);
        break;
      case Kind::sparse:
        value = random() % 40 == 0 ? normal(random) * scale : 0.0F;
        break;
      case Kind::any_bits:
        do value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        while (!std::isfinite(value));
        break;
      case Kind::largest:
        value = coin() ? FLT_MAX : -FLT_MAX * (coin() ? 1.0F : 0.3F);
        break;
      case Kind::near_subnormal:
        value = std::ldexp(normal(random), -122 - static_cast<int>(i / 32 % 10));
        break;
    }
  }
}

inline void expect_same_blocks(const std::string& expected, const std::string& got, std::size_t block_bytes,
                               const std::string& what) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  for (std::size_t at = 0; at < expected.size(); at += block_bytes) {
    ASSERT_EQ(std::memcmp(expected.data() + at, got.data() + at, block_bytes), 0)
        << what << ", block " << at / block_bytes;
  }
}

/// A file of tests/data/quantize as numbers.
inline std::vector<float> stored_floats(const std::string& name) {
  const std::string bytes = read_bytes(test_data("quantize/" + name));
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

/// How many blocks of each kind the comparisons with ggml's library take: GALATEA_GGML_BLOCKS, else few.
inline std::size_t library_blocks(std::size_t otherwise) {
  const char* wanted = std::getenv("GALATEA_GGML_BLOCKS");
  return wanted == nullptr ? otherwise : std::strtoull(wanted, nullptr, 10);
}

}  // namespace galatea::test
