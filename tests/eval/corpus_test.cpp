#include "eval/corpus.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/python_random.h"
#include "eval/text_lines.h"
#include "format/error.h"
#include "format/source.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::TempFolder;
using test::write_bytes;

std::string text_of(const char* kind, std::string_view bytes) {
  const TempFolder folder;
  write_bytes(folder / "corpus", bytes);
  return read_corpus(corpus_kind(kind), folder / "corpus").text;
}

Error error_of(const char* kind, std::string_view bytes) {
  return test::error_of([&] { text_of(kind, bytes); });
}

std::string gzip(std::string_view text) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 1000, '\0');
  std::string in(text);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

TEST(Corpus, WikitextKeepsLineEndsAndEmptiesBlankRows) {
  EXPECT_EQ(text_of("wikitext2", " \n = Title = \n \nText .\n"), "\n\n = Title = \n\n\n\n\nText .\n");
  EXPECT_EQ(text_of("wikitext2", "a\r\nb\rc"), "a\n\n\nb\n\n\nc") << "as Python's text mode reads lines";
  EXPECT_EQ(text_of("wikitext2", "a\n\xC2\xA0\xE3\x80\x80\nb"), "a\n\n\n\n\nb") << "Unicode blanks are blank";
}

TEST(Corpus, TreebankStripsLines) {
  EXPECT_EQ(text_of("ptb-new", " no it \n\n <unk> N \n"), "no it  <unk> N");
  EXPECT_EQ(text_of("ptb", " no it \n <unk> N \n"), "no it\n\n<unk> N");
}

TEST(Corpus, C4JoinsTheFirst1100Documents) {
  EXPECT_EQ(text_of("c4-new",
                    "{\"text\": \"a\\nb\", \"url\": \"x\"}\n\n{\"text\": \"\\u00e9 \"}\n{\"text\": \"\"}\n"),
            "a\nb \xC3\xA9  ");
  std::string lines;
  for (int i = 0; i < 1200; ++i) lines += "{\"text\":\"" + std::to_string(i) + "\"}\n";
  const std::string text = text_of("c4-new", lines);
  EXPECT_TRUE(text.ends_with(" 1098 1099")) << text.substr(text.size() - 20);
}

TEST(Corpus, ReadsGzipOfOneOrMoreMembers) {
  const std::string first = "{\"text\":\"one\"}\n{\"te";
  const std::string second = "xt\":\"two\"}\n";
  EXPECT_EQ(text_of("c4-new", gzip(first + second)), "one two");
  EXPECT_EQ(text_of("c4-new", gzip(first) + gzip(second)), "one two");
}

TEST(Corpus, GzipThatEndsEarlyOrIsDamagedIsAnError) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string whole = gzip(text);
  for (const std::size_t length :
       {2UL, 9UL, 10UL, 11UL, whole.size() / 2, whole.size() - 8, whole.size() - 1})
    EXPECT_EQ(error_of("ptb", whole.substr(0, length)).kind(), ErrorKind::input) << length;
  std::string flipped = whole;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x10);
  EXPECT_EQ(error_of("ptb", flipped).kind(), ErrorKind::input);
  EXPECT_EQ(error_of("ptb", whole + "rest").kind(), ErrorKind::input);
}

TEST(Corpus, SaysWhatToDoWithOtherPackings) {
  for (const std::string_view magic : {std::string_view("\xFD"
                                                        "7zXZ"),
                                       std::string_view("PAR1parquet"), std::string_view("BZh9")}) {
    const Error error = error_of("wikitext2", magic);
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_FALSE(error.remedy_text().empty());
  }
}

void append(std::string& out, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i, value >>= 8U) out += static_cast<char>(value & 0xFFU);
}

/// An archive of files, each stored or deflated.
std::string zip(const std::vector<std::pair<std::string, std::string>>& files, bool deflated) {
  std::string out, directory;
  for (const auto& [name, text] : files) {
    // gzip's stream without its 10 bytes of head and 8 of tail is what zip stores.
    const std::string packed = gzip(text);
    const std::string data = deflated ? packed.substr(10, packed.size() - 18) : text;
    std::string common;
    append(common, deflated ? 8 : 0, 2);
    append(common, 0, 4);
    append(common, crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size())), 4);
    append(common, data.size(), 4);
    append(common, text.size(), 4);
    append(common, name.size(), 2);
    const std::size_t offset = out.size();
    out += std::string("PK\3\4\24\0\0\0", 8) + common;
    append(out, 0, 2);
    out += name + data;
    directory += std::string("PK\1\2\24\0\24\0\0\0", 10) + common;
    append(directory, 0, 12);
    append(directory, offset, 4);
    directory += name;
  }
  const std::size_t offset = out.size();
  out += directory + std::string("PK\5\6\0\0\0\0", 8);
  append(out, files.size(), 2);
  append(out, files.size(), 2);
  append(out, directory.size(), 4);
  append(out, offset, 4);
  append(out, 7, 2);
  return out + "comment";
}

TEST(Corpus, ReadsItsFileOutOfAZipArchive) {
  std::string text = "= Title =\n";
  for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string expected = text_of("wikitext2", text);
  for (const bool deflated : {false, true}) {
    const std::string archive = zip({{"wikitext-2-raw/", ""},
                                     {"wikitext-2-raw/wiki.valid.raw", "other\n"},
                                     {"wikitext-2-raw/wiki.test.raw", text}},
                                    deflated);
    EXPECT_TRUE(text_of("wikitext2", archive) == expected) << deflated;
    EXPECT_EQ(error_of("ptb", archive).kind(), ErrorKind::input) << "it holds no Penn Treebank";
    EXPECT_TRUE(text_of("text", zip({{"folder/", ""}, {"any.txt", text}}, deflated)) == text);
    for (const std::size_t length : {4UL, 30UL, archive.size() / 2, archive.size() - 8, archive.size() - 1})
      EXPECT_EQ(error_of("wikitext2", archive.substr(0, length)).kind(), ErrorKind::input) << length;
    std::string flipped = archive;
    flipped[archive.size() / 3] = static_cast<char>(flipped[archive.size() / 3] ^ 0x10);
    if (deflated) {
      EXPECT_EQ(error_of("wikitext2", flipped).kind(), ErrorKind::input);
    }
  }
  const std::string archive = zip({{"wiki.test.raw", "text\n"}}, true);
  for (std::size_t at = 4; at < archive.size() - 8; ++at) {  // no damage crashes
    std::string bad = archive;
    bad[at] = static_cast<char>(bad[at] ^ 0xFF);
    try {
      text_of("wikitext2", bad);
    } catch (const Error&) {
    }
  }
}

TEST(Corpus, ReadsZstd) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "{\"text\":\"" + std::to_string(i % 100) + "\"}\n";
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  const std::string expected = text_of("c4-new", text);
  EXPECT_TRUE(text_of("c4-new", packed) == expected);
  EXPECT_TRUE(text_of("text", packed + packed) == text + text);
  for (const std::size_t length : {5UL, packed.size() / 2, packed.size() - 1})
    EXPECT_EQ(error_of("text", packed.substr(0, length)).kind(), ErrorKind::input) << length;
}

TEST(PythonRandom, DrawsWhatPythonDraws) {
  PythonRandom random(0);
  std::vector<std::uint64_t> found;
  found.reserve(8);
  for (int i = 0; i < 8; ++i) found.push_back(random.between(0, 45575));
  EXPECT_EQ(found, (std::vector<std::uint64_t>{25247, 27562, 2653, 16968, 33506, 31845, 26537, 19877}));
  const unsigned widths[] = {1, 7, 32, 33, 64};
  const std::uint64_t bits[] = {1U, 61U, 1537810351U, 6800574079U, 4029557120079369747U};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(random.bits(widths[i]), bits[i]) << widths[i];
  PythonRandom other(12345678901234U);
  for (const std::uint64_t expected : {3U, 7U, 4U, 9U, 6U, 7U, 6U, 8U})
    EXPECT_EQ(other.between(3, 9), expected);
}

TEST(Corpus, RefusesWhatCannotBeIt) {
  EXPECT_EQ(error_of("wikitext2", "").kind(), ErrorKind::input);
  EXPECT_EQ(error_of("ptb", "ok\nbad \xFF\n").byte(), 7U);
  EXPECT_EQ(error_of("c4-new", "{\"text\": \"a\"}\n{\"text\": 1}\n").byte(), 14U);
  EXPECT_EQ(error_of("c4-new", "plain text\n").kind(), ErrorKind::input);
  EXPECT_EQ(error_of("c4-new", "{\"text\": \"\\ud800\"}\n").kind(), ErrorKind::input) << "a lone surrogate";
  EXPECT_THROW(corpus_kind("wikitext"), Error);
}

TEST(TextLines, LongestLineIsBounded) {
  const std::string long_line(std::size_t{65} << 20U, 'a');
  TextLines lines(memory_source(long_line, "long"));
  std::string line;
  EXPECT_THROW(lines.next(line), Error);
}

TEST(TextLines, CarriageReturnAtTheEndOfAChunk) {
  std::string text(std::size_t{1} << 18U, 'a');
  text.back() = '\r';
  text += "\nb\n";
  TextLines lines(memory_source(text, "chunks"));
  std::string line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line.size(), std::size_t{1} << 18U);
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, "b\n");
  EXPECT_EQ(lines.position(), text.size() - 2);
  EXPECT_FALSE(lines.next(line));
}

}  // namespace
}  // namespace galatea
