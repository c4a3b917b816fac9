#include "format/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>

#include "format/error.h"
#include "format/utf8.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

std::string varint(std::uint64_t value) {
  std::string out;
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80U);
    value >>= 7U;
  }
  return out + static_cast<char>(value);
}

std::string field(unsigned number, const std::string& bytes) {
  return varint(number << 3U | 2U) + varint(bytes.size()) + bytes;
}
std::string number(unsigned field_number, std::uint64_t value) {
  return varint(field_number << 3U) + varint(value);
}
std::string score(float value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return varint(2U << 3U | 5U) + bytes;
}
std::string piece(const std::string& text, float value, unsigned type) {
  return field(1, field(1, text) + score(value) + number(3, type));
}

const std::string small =
    piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("a", -1.5F, 1);

SentencePieceModel read(const std::string& bytes) {
  return read_sentencepiece_model(*memory_source(bytes, "tokenizer.model"));
}

TEST(SentencePieceModel, reads_pieces_options_and_defaults) {
  const SentencePieceModel model =
      read(small + field(2, number(3, 2) + number(35, 1) + number(43, 0xFFFFFFFFFFFFFFFFU)) +
           field(3, field(1, "identity") + number(3, 0) + number(4, 0)) + field(77, "from the future"));
  ASSERT_EQ(model.pieces.size(), 4U);
  EXPECT_EQ(model.pieces[3].text, "a");
  EXPECT_EQ(model.pieces[3].score, -1.5F);
  EXPECT_EQ(model.pieces[1].type, PieceType::control);
  EXPECT_EQ(model.algorithm, SentencePieceAlgorithm::bpe);
  EXPECT_TRUE(model.byte_fallback);
  EXPECT_EQ(model.pad_id, -1);
  EXPECT_EQ(model.eos_id, 2);
  EXPECT_EQ(model.normalizer_name, "identity");
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_FALSE(model.remove_extra_whitespaces);
  EXPECT_TRUE(model.escape_whitespaces);
  EXPECT_EQ(model.bos_piece, "<s>");
}

TEST(SentencePieceModel, every_truncation_is_refused_or_harmless) {
  const std::string whole = small + field(2, number(3, 2) + number(35, 1));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    try {
      const SentencePieceModel model = read(whole.substr(0, length));
      EXPECT_GE(model.pieces.size(), 3U) << length;  // cut between two fields
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(error.file_name(), "tokenizer.model");
    }
  }
}

TEST(SentencePieceModel, noise_never_does_more_than_fail) {
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = small;
    for (int j = 0; j < 3; ++j) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      read(bytes);
    } catch (const Error&) {
    }
  }
}

TEST(SentencePieceModel, what_no_tokenizer_has_is_refused) {
  EXPECT_THROW(read(""), Error);
  EXPECT_THROW(read(small + piece("a", 0, 1)), Error);                            // twice
  EXPECT_THROW(read(small + piece("", 0, 1)), Error);                             // empty
  EXPECT_THROW(read(small + piece("\xFF", 0, 1)), Error);                         // not UTF-8
  EXPECT_THROW(read(small + piece("b", std::nanf(""), 1)), Error);                // no score
  EXPECT_THROW(read(small + piece("b", 0, 7)), Error);                            // no such type
  EXPECT_THROW(read(small + piece("<0x0g>", 0, 6)), Error);                       // no byte
  EXPECT_THROW(read(small + piece("?", 0, 2)), Error);                            // second unknown
  EXPECT_THROW(read(small + field(2, number(41, 4))), Error);                     // bos outside
  EXPECT_THROW(read(small + varint(1U << 3U | 3U)), Error);                       // group
  EXPECT_THROW(read(small + varint(1U << 3U | 2U) + varint(UINT64_MAX)), Error);  // longer than the file
  EXPECT_THROW(read(small + std::string(11, '\xFF')), Error);                     // endless number
  EXPECT_NO_THROW(read(small + piece("<0x0A>", 0, 6)));
}

TEST(SentencePieceModel, reads_llamas_own_vocabulary) {
  GALATEA_SHARED_DATA_OR_SKIP(path, "tokenizer.model");
  const SentencePieceModel model = read_sentencepiece_model(*open_file(path));
  ASSERT_EQ(model.pieces.size(), 32000U);
  EXPECT_EQ(model.pieces[0].text, "<unk>");
  EXPECT_EQ(model.pieces[0].type, PieceType::unknown);
  EXPECT_EQ(model.pieces[1].text, "<s>");
  EXPECT_EQ(model.pieces[1].type, PieceType::control);
  EXPECT_EQ(model.pieces[3].text, "<0x00>");
  EXPECT_EQ(model.pieces[258].text, "<0xFF>");
  EXPECT_EQ(model.pieces[258].type, PieceType::byte);
  EXPECT_EQ(model.pieces[259].text, "\xE2\x96\x81\xE2\x96\x81");
  EXPECT_EQ(model.pieces[260].score, -1.0F);
  EXPECT_EQ(model.algorithm, SentencePieceAlgorithm::bpe);
  EXPECT_TRUE(model.byte_fallback);
  EXPECT_TRUE(model.add_dummy_prefix);
  EXPECT_FALSE(model.remove_extra_whitespaces);
  EXPECT_EQ(model.normalizer_name, "identity");
  EXPECT_TRUE(model.precompiled_charsmap.empty());
  EXPECT_EQ(model.pad_id, -1);
}

TEST(Utf8, follows_the_standard) {
  EXPECT_TRUE(is_utf8("plain \xC3\xA9 \xE2\x96\x81 \xF0\x9F\x98\x80"));
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x96", "\xC3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

}  // namespace
}  // namespace galatea
