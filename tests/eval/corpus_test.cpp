#include "eval/corpus.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <string_view>

#include "eval/text_lines.h"
#include "format/error.h"
#include "format/source.h"
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
  try {
    text_of(kind, bytes);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorKind::usage, ""};
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
  for (const std::string_view magic :
       {std::string_view("PK\x03\x04zip"), std::string_view("\x28\xB5\x2F\xFDzstd"),
        std::string_view("PAR1parquet"), std::string_view("BZh9")}) {
    const Error error = error_of("wikitext2", magic);
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_FALSE(error.remedy_text().empty());
  }
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
