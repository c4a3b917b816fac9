#include "verify/manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

const std::string md5 = "900150983cd24fb0d6963f7d28e17f72";
const std::string sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
const std::string sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

Manifest parse(const std::string& text) { return parse_manifest(text, "list"); }

ManifestEntry only_entry(const std::string& text) {
  const Manifest manifest = parse(text);
  EXPECT_EQ(manifest.entries.size(), 1U);
  return manifest.entries.at(0);
}

/// The message of the Error that `text` must give.
std::string error_of(const std::string& text) {
  SCOPED_TRACE(printable(text));
  const Error error = test::error_of([&] { parse(text); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "list");
  return error.what();
}

TEST(Manifest, EveryFormOfLine) {
  struct Case {
    std::string line, name, digest;
    HashKind kind;
  };
  const Case cases[] = {
      {md5 + "  model.bin", "model.bin", md5, HashKind::md5},
      {sha1 + " *model.bin", "model.bin", sha1, HashKind::sha1},
      {sha256 + "  a b  c.bin", "a b  c.bin", sha256, HashKind::sha256},
      {sha256 + " model.bin", "model.bin", sha256, HashKind::sha256},
      {"\\" + sha256 + "  a\\\\b", "a\\b", sha256, HashKind::sha256},
      {sha256 + "  a\\b", "a\\b", sha256, HashKind::sha256},
      {"SHA256 (model (1).bin) = " + sha256, "model (1).bin", sha256, HashKind::sha256},
      {"\\SHA256 (a\\\\b) = " + sha256, "a\\b", sha256, HashKind::sha256},
      {"MD5 (x) = " + md5, "x", md5, HashKind::md5},
      {"SHA2-256(model.bin)= " + sha256, "model.bin", sha256, HashKind::sha256},
      {"SHA1(model.bin)= " + sha1, "model.bin", sha1, HashKind::sha1},
      {"model.bin " + md5, "model.bin", md5, HashKind::md5},
      {"my model.bin     " + sha1, "my model.bin", sha1, HashKind::sha1},
      {"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD  x", "x", sha256, HashKind::sha256},
      {sha256 + "  ./folder//x", "folder/x", sha256, HashKind::sha256},
  };
  for (const Case& c : cases) {
    const ManifestEntry entry = only_entry(c.line + "\n");
    EXPECT_EQ(entry.name, c.name) << c.line;
    EXPECT_EQ(entry.digest, c.digest) << c.line;
    EXPECT_EQ(entry.kind, c.kind) << c.line;
    EXPECT_EQ(entry.line, 1U);
  }
}

TEST(Manifest, MetasChecklist) {
  const Manifest manifest = parse(
      "6efc8dab194ab59e49cd24be5574d85e  consolidated.00.pth\n"
      "7596560e011154b90eb51a1b15739763  params.json\n");
  ASSERT_EQ(manifest.entries.size(), 2U);
  EXPECT_EQ(manifest.entries[0].name, "consolidated.00.pth");
  EXPECT_EQ(manifest.entries[1].digest, "7596560e011154b90eb51a1b15739763");
  EXPECT_EQ(manifest.entries[1].line, 2U);
  EXPECT_TRUE(manifest.notes.empty());
}

TEST(Manifest, CommentsEmptyLinesAndNoLastLineEnd) {
  const Manifest manifest = parse("# made by hand\n\n; rhash writes these\n  \n" + md5 + "  x");
  ASSERT_EQ(manifest.entries.size(), 1U);
  EXPECT_EQ(manifest.entries[0].line, 5U);
}

TEST(Manifest, WindowsTextIsTakenWithANote) {
  const Manifest manifest = parse("\xEF\xBB\xBF" + md5 + "  x\r\n" + md5 + "  y\r\n");
  ASSERT_EQ(manifest.entries.size(), 2U);
  EXPECT_EQ(manifest.entries[0].name, "x");
  EXPECT_EQ(manifest.notes.size(), 2U);
}

TEST(Manifest, SameFileWithTwoAlgorithmsAndARepeatedLine) {
  const Manifest manifest = parse(md5 + "  x\n" + sha256 + "  x\n" + md5 + "  x\n");
  EXPECT_EQ(manifest.entries.size(), 2U);
  ASSERT_EQ(manifest.notes.size(), 1U);
  EXPECT_NE(manifest.notes[0].find("line 3"), std::string::npos);
}

TEST(Manifest, HostileAndBrokenLinesAreErrorsWithTheirNumber) {
  // NOLINTBEGIN(bugprone-string-constructor): long on purpose
  const std::string good = md5 + "  good\n";
  const std::string bad[] = {
      md5 + "  ../x",
      md5 + "  a/../../x",
      md5 + "  /etc/passwd",
      md5 + "  a\tb\x1B[2J",
      md5 + std::string("  a\0b", 5),
      "\\" + md5 + "  a\\nb",
      "\\" + md5 + "  a\\qb",
      md5 + "  .",
      md5 + "  " + std::string(5000, 'x'),
      md5 + "  " + std::string(300, 'x'),
      md5 + "0  x",
      md5,
      md5 + "  ",
      "x 1234abcd",
      "MD5 (x) = " + sha256,
      "SHA512 (x) = " + sha256,
      "SHA384 (x) = " + sha256 + md5,
      "<html><body>404 Not Found</body></html>",
      std::string(10'000'000, 'a'),
      md5 + "  " + std::string(10'000'000, 'x'),
  };
  // NOLINTEND(bugprone-string-constructor)
  for (const std::string& line : bad) {
    const std::string message = error_of(good + line + "\n");
    EXPECT_NE(message.find("reading line 2"), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000U);
  }
}

TEST(Manifest, ContradictionEmptyListAndUtf16) {
  EXPECT_NE(error_of(md5 + "  x\n" + std::string(32, '0') + "  x\n").find("lines 1 and 2"),
            std::string::npos);
  EXPECT_NE(error_of("# nothing\n").find("no entry"), std::string::npos);
  EXPECT_NE(error_of("").find("no entry"), std::string::npos);
  EXPECT_NE(error_of(std::string("\xFF\xFEx\0", 4)).find("UTF-16"), std::string::npos);
}

TEST(Manifest, WrittenAsTheToolsWriteIt) {
  const std::vector<ManifestEntry> entries = {{"model.bin", HashKind::sha256, sha256, 0},
                                              {"a\\b", HashKind::md5, md5, 0}};
  EXPECT_EQ(write_manifest(entries, ManifestForm::gnu), sha256 + "  model.bin\n\\" + md5 + "  a\\\\b\n");
  EXPECT_EQ(write_manifest(entries, ManifestForm::bsd),
            "SHA256 (model.bin) = " + sha256 + "\n\\MD5 (a\\\\b) = " + md5 + "\n");
  for (const ManifestForm form : {ManifestForm::gnu, ManifestForm::bsd}) {
    const Manifest again = parse(write_manifest(entries, form));
    ASSERT_EQ(again.entries.size(), 2U);
    EXPECT_EQ(again.entries[1].name, "a\\b");
    EXPECT_EQ(again.entries[1].digest, md5);
  }
  const std::vector<ManifestEntry> hostile = {{"../x", HashKind::md5, md5, 0}};
  EXPECT_THROW(write_manifest(hostile, ManifestForm::gnu), Error);
}

}  // namespace
}  // namespace galatea
