#include "converter/xor_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "converter/stream_source.h"
#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

std::string noise(std::size_t bytes, std::uint32_t state) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) {
    state = state * 1664525U + 1013904223U;
    out += static_cast<char>(state >> 24U);
  }
  return out;
}

/// The codec block by block, as the published script does it.
std::string xor_by_blocks(const std::string& payload, const std::string& base) {
  std::string out;
  for (std::size_t at = 0; at < payload.size(); at += 4096) {
    const std::string block = payload.substr(at, 4096);
    std::string key = at < base.size() ? base.substr(at, 4096) : std::string();
    key.resize(block.size(), '\0');
    for (std::size_t i = 0; i < block.size(); ++i) out += static_cast<char>(block[i] ^ key[i]);
  }
  return out;
}

std::string all_of(const SourcePtr& source) { return source->read_text(1U << 28U); }

TEST(XorCodec, LengthsAroundTheBlocksOfTheScript) {
  const std::size_t lengths[] = {0, 1, 7, 4095, 4096, 4097, 8192, 12288, 262143, 262144, 262145, 600000};
  for (const std::size_t payload_length : lengths) {
    for (const std::size_t base_length : lengths) {
      const std::string payload = noise(payload_length, 1), base = noise(base_length, 2);
      const SourcePtr source = xor_source(memory_source(payload, "payload"), memory_source(base, "base"));
      ASSERT_EQ(source->size(), payload_length);
      ASSERT_EQ(all_of(source), xor_by_blocks(payload, base)) << payload_length << " ^ " << base_length;
    }
  }
}

TEST(XorCodec, AnyRange) {
  const std::string payload = noise(700'001, 3), base = noise(500'003, 4);
  const SourcePtr source = xor_source(memory_source(payload, "payload"), memory_source(base, "base"));
  const std::string whole = xor_by_blocks(payload, base);
  for (const std::size_t begin : {0U, 1U, 262'143U, 499'990U, 500'003U, 600'000U, 700'001U}) {
    for (const std::size_t length : {0U, 1U, 13U, 100'000U}) {
      if (begin + length > whole.size()) continue;
      const auto bytes = source->ByteSource::read(begin, length);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                whole.substr(begin, length));
    }
  }
  EXPECT_THROW(source->ByteSource::read(700'000, 2), Error);
}

TEST(XorCodec, TwiceIsTheSameAgain) {
  const std::string tuned = noise(10'000, 5), base = noise(9'000, 6);
  const SourcePtr key = memory_source(base, "base");
  const SourcePtr payload = xor_source(memory_source(tuned, "tuned"), key);
  EXPECT_NE(all_of(payload), tuned);
  EXPECT_EQ(all_of(xor_source(payload, key)), tuned);
}

class Streams : public testing::TestWithParam<Compression> {};

INSTANTIATE_TEST_SUITE_P(All, Streams, testing::Values(Compression::gzip, Compression::zstd),
                         [](const auto& param) { return std::string(to_string(param.param)); });

TEST_P(Streams, PackedAndUnpacked) {
  for (const std::size_t length : {0U, 1U, 1'048'576U, 3'000'001U}) {
    const std::string plain = noise(length / 2, 7) + std::string(length - length / 2, '\0');
    const SourcePtr packed = compressed_source(memory_source(plain, "plain"), GetParam());
    EXPECT_EQ(detect_compression(*packed), GetParam());
    const std::string bytes = all_of(packed);
    EXPECT_EQ(all_of(compressed_source(memory_source(plain, "plain"), GetParam())), bytes);
    EXPECT_EQ(all_of(decompressed_source(packed, GetParam(), 1U << 30U)), plain);
    // Two streams in one file are one content.
    const SourcePtr twice = memory_source(bytes + bytes, "twice");
    EXPECT_EQ(all_of(decompressed_source(twice, GetParam(), 1U << 30U)), plain + plain);
  }
}

TEST_P(Streams, ReadsInAnyOrder) {
  std::string plain;
  plain.resize(70'000'000);
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<char>(i / 1000);
  const SourcePtr source = decompressed_source(compressed_source(memory_source(plain, "plain"), GetParam()),
                                               GetParam(), 1U << 30U);
  for (const std::size_t begin : {69'999'000U, 0U, 40'000'000U, 20'000'000U, 1'048'570U, 60'000'000U}) {
    const auto bytes = source->ByteSource::read(begin, 1000);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
              plain.substr(begin, 1000));
  }
}

TEST_P(Streams, DamageIsFoundAtOnce) {
  const std::string plain = noise(300'000, 9) + std::string(300'000, 'x');
  const std::string good = all_of(compressed_source(memory_source(plain, "plain"), GetParam()));
  std::string flipped = good;
  flipped[good.size() / 3] = static_cast<char>(flipped[good.size() / 3] ^ 0x40);
  const std::string damaged[] = {good.substr(0, good.size() - 1), good.substr(0, good.size() / 2),
                                 good.substr(0, 5), good + "more", flipped};
  for (const std::string& bytes : damaged) {
    SCOPED_TRACE(testing::Message() << bytes.size() << " of " << good.size() << " bytes");
    const Error error =
        test::error_of([&] { decompressed_source(memory_source(bytes, "damaged"), GetParam(), 1U << 30U); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_EQ(error.file_name(), "damaged");
  }
}

TEST_P(Streams, BombIsStoppedAtTheLimit) {
  const SourcePtr packed =
      compressed_source(memory_source(std::string(5'000'000, '\0'), "zeros"), GetParam());
  EXPECT_LT(packed->size(), 20'000U);
  EXPECT_NO_THROW(decompressed_source(packed, GetParam(), 5'000'000));
  EXPECT_THROW(decompressed_source(packed, GetParam(), 4'999'999), Error);
}

TEST(Compression, RecognisedByItsFirstBytes) {
  EXPECT_EQ(detect_compression(*memory_source(std::string("PK\3\4...."), "x")), Compression::none);
  EXPECT_EQ(detect_compression(*memory_source(std::string("\x1F\x8B"), "x")), Compression::none);
  EXPECT_EQ(detect_compression(*memory_source(std::string(), "x")), Compression::none);
}

}  // namespace
}  // namespace galatea
