#include "verify/value_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "format/block_decode.h"

namespace galatea {
namespace {

ValueCounts counts_of(DType type, const std::vector<float>& values) {
  const TypeInfo& info = type_info(type);
  std::vector<std::byte> bytes(values.size() * info.block_bytes);
  info.encode(values.data(), bytes.data(), values.size());
  return scan_values(type, bytes);
}

TEST(ValueScan, CountsInEveryFloatingType) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const TypeInfo& type : all_types()) {
    if (!type.floating) continue;
    std::vector<float> values(5000, 1.0F);
    EXPECT_TRUE(counts_of(type.type, values).finite()) << type.name;
    EXPECT_TRUE(counts_of(type.type, values).nonzero);
    values[4321] = nan;
    values[4400] = -nan;
    values[4999] = -inf;
    const ValueCounts counts = counts_of(type.type, values);
    const bool has_infinity = type.type != DType::f8_e4m3;
    EXPECT_EQ(counts.values, 5000U);
    EXPECT_EQ(counts.nan, has_infinity ? 2U : 3U) << type.name;
    EXPECT_EQ(counts.infinite, has_infinity ? 1U : 0U) << type.name;
    EXPECT_EQ(counts.first, 4321U) << type.name;
    EXPECT_FALSE(counts_of(type.type, std::vector<float>(70, -0.0F)).nonzero) << type.name;
  }
}

// Every 16-bit pattern, against the decoders.
TEST(ValueScan, AgreesWithTheDecodersOnEveryPattern) {
  for (const DType type : {DType::f16, DType::bf16}) {
    std::vector<std::uint16_t> patterns(65536);
    for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
    std::vector<float> decoded(patterns.size());
    const auto bytes = std::as_bytes(std::span(patterns));
    type_info(type).decode(bytes.data(), decoded.data(), decoded.size());
    std::uint64_t nan = 0, infinite = 0;
    for (const float value : decoded) {
      nan += std::isnan(value) ? 1U : 0U;
      infinite += std::isinf(value) ? 1U : 0U;
    }
    const ValueCounts counts = scan_values(type, bytes);
    EXPECT_EQ(counts.nan, nan);
    EXPECT_EQ(counts.infinite, infinite);
  }
}

TEST(ValueScan, ScalesOfQuantizedBlocks) {
  std::vector<std::byte> blocks(34 * 100);
  EXPECT_FALSE(scan_values(DType::q8_0, blocks).nonzero);
  for (std::size_t i = 2; i < 34; ++i) blocks[70 * 34 + i] = std::byte{1};
  blocks[70 * 34 + 1] = std::byte{0x7C};  // the scale of block 70: infinity
  const ValueCounts counts = scan_values(DType::q8_0, blocks);
  EXPECT_EQ(counts.values, 3200U);
  EXPECT_EQ(counts.infinite, 32U);
  EXPECT_EQ(counts.first, 70U * 32);
}

TEST(ValueScan, PartsAddUpInAnyOrder) {
  ValueCounts a, b;
  ValueCounts part;
  part.values = 10;
  part.nan = 1;
  part.first = 3;
  a.add({10, 0, 0, true, 0}, 0);
  a.add(part, 10);
  a.add(part, 20);
  b.add(part, 20);
  b.add(part, 10);
  b.add({10, 0, 0, true, 0}, 0);
  EXPECT_EQ(a.first, 13U);
  EXPECT_EQ(b.first, 13U);
  EXPECT_EQ(a.nan, b.nan);
  EXPECT_EQ(a.values, 30U);
  EXPECT_TRUE(b.nonzero);
}

}  // namespace
}  // namespace galatea
