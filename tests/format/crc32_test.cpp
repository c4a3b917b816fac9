#include "format/crc32.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace galatea {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Crc32, TheCheckValueOfTheStandard) {
  EXPECT_EQ(crc32_of(bytes_of("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32_of({}), 0U);
  EXPECT_EQ(crc32_of({}, 0xCBF43926U), 0xCBF43926U);
}

TEST(Crc32, AgreesWithZlibAtEveryLengthAndAlignment) {
  std::mt19937 random(1);
  std::vector<std::byte> data(4096 + 64);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  for (std::size_t start = 0; start < 64; start += 3) {
    for (std::size_t size = 0; size < 4096; size += size < 300 ? 1 : 257) {
      const auto part = std::span(data).subspan(start, size);
      const auto expected = crc32_z(0, reinterpret_cast<const unsigned char*>(part.data()), part.size());
      ASSERT_EQ(crc32_of(part), expected) << start << " " << size;
      const std::size_t cut = size / 3;
      ASSERT_EQ(crc32_of(part.subspan(cut), crc32_of(part.first(cut))), expected);
      ASSERT_EQ(crc32_joined(crc32_of(part.first(cut)), crc32_of(part.subspan(cut)), size - cut), expected);
    }
  }
}

TEST(Crc32, StretchesLongerThanFourGigabytesJoin) {
  // CRC-32 of n zero bytes behind x, computed a gigabyte at a time.
  const std::vector<std::byte> zeros(std::size_t{1} << 24U);
  const std::uint32_t first = crc32_of(bytes_of("weights"));
  std::uint32_t whole = first;
  for (int i = 0; i < 320; ++i) whole = crc32_of(zeros, whole);
  std::uint32_t behind = 0;
  for (int i = 0; i < 320; ++i) behind = crc32_of(zeros, behind);
  EXPECT_EQ(crc32_joined(first, behind, std::uint64_t{320} << 24U), whole);
}

}  // namespace
}  // namespace galatea
