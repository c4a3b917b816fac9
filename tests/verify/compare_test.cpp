#include "verify/compare.h"

#include <gtest/gtest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "verify/recognise.h"
#include "verify/report.h"

namespace galatea {
namespace {

const std::string abc_md5 = "900150983cd24fb0d6963f7d28e17f72";
const std::string abc_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const std::string empty_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const std::string params_7b =
    R"({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1})";

/// A release whose file "x" holds "abc", or nothing, which is an alternate.
ReleaseFiles list_of_x() {
  return parse_release(R"({"name": "r", "files": [{"name": "x", "size": 3, "md5": ")" + abc_md5 + R"(",
      "alternates": [{"sha256": ")" +
                           empty_sha256 + R"(", "note": "the empty one"}],
      "known_bad": [{"md5": "0cc175b9c0f1b6a831c399e269772661", "meaning": "only the first letter", "remedy": "add two"}]}]})",
                       "r.json")
      .parts.at("files");
}

FileCheck check_x(const std::string& content) {
  const test::TempFolder folder;
  test::write_bytes(folder / "x", content);
  const CheckReport report = check_files(folder.path(), list_of_x());
  EXPECT_EQ(report.files.size(), 1U);
  const bool right =
      report.files.at(0).status == FileStatus::ok || report.files.at(0).status == FileStatus::alternate;
  EXPECT_EQ(report.passed(), right);
  // The file alone is judged as in its folder.
  EXPECT_EQ(check_files(folder / "x", list_of_x()).files.at(0).status, report.files.at(0).status);
  return report.files.at(0);
}

TEST(Compare, OkAlternateKnownBadAndMismatch) {
  EXPECT_EQ(check_x("abc").status, FileStatus::ok);
  const FileCheck alternate = check_x("");
  EXPECT_EQ(alternate.status, FileStatus::alternate);
  EXPECT_EQ(alternate.detail, "the empty one");
  const FileCheck bad = check_x("a");
  EXPECT_EQ(bad.status, FileStatus::known_bad);
  EXPECT_EQ(bad.detail, "only the first letter");
  EXPECT_EQ(bad.remedy, "add two");
  const FileCheck mismatch = check_x("abd");
  EXPECT_EQ(mismatch.status, FileStatus::mismatch);
  EXPECT_EQ(mismatch.expected, "MD5 " + abc_md5);
  EXPECT_TRUE(mismatch.detail.empty());
  EXPECT_NE(check_x("ab").detail.find("2 bytes instead of 3"), std::string::npos);
}

TEST(Compare, DamageOfTextFilesIsNamed) {
  EXPECT_NE(check_x("abc\n").detail.find("line end was added"), std::string::npos);
  const std::string lf = "{\n\"a\": 1\n}\n";
  ReleaseFile file;
  file.name = "config.json";
  file.variants.push_back(
      {digest_source(*memory_source(std::string_view(lf), "x"), std::vector{HashKind::sha256}), {}});
  EXPECT_NE(explain_damage("{\r\n\"a\": 1\r\n}\r\n", file).find("CR LF"), std::string::npos);
  EXPECT_NE(explain_damage("{\n\"a\": 1\n}", file).find("was lost"), std::string::npos);
  EXPECT_NE(explain_damage("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", file)
                .find("pointer"),
            std::string::npos);
  EXPECT_EQ(explain_damage("{\n\"a\": 2\n}\n", file), "");
}

TEST(Compare, MissingExtraOptionalAndNotListed) {
  const test::TempFolder folder;
  test::write_bytes(folder / "x", "abc");
  test::write_bytes(folder / "more", "");
  test::write_bytes(folder / "galatea.json", "");
  test::write_bytes(folder / ".hidden", "");
  ReleaseFiles list = list_of_x();
  list.push_back({"gone", {}, list[0].variants, {}, false, ""});
  CheckReport report = check_files(folder.path(), list);
  ASSERT_EQ(report.files.size(), 3U);
  EXPECT_EQ(report.files[1].status, FileStatus::missing);
  EXPECT_EQ(report.files[2].name, "more");
  EXPECT_EQ(report.files[2].status, FileStatus::extra);
  EXPECT_FALSE(report.passed());

  list[1].optional = true;
  EXPECT_TRUE(check_files(folder.path(), list).passed());

  list[1] = {"more", {}, {}, {}, false, ""};
  report = check_files(folder.path(), list);
  EXPECT_EQ(report.files[1].status, FileStatus::not_listed);
  EXPECT_TRUE(report.passed());
  list[1].size = 7;
  EXPECT_EQ(check_files(folder.path(), list).files[1].status, FileStatus::mismatch);
}

TEST(Compare, NothingComparedIsNoSuccess) {
  const test::TempFolder folder;
  test::write_bytes(folder / "y", "something else");
  const CheckReport single = check_files(folder / "y", list_of_x());
  EXPECT_EQ(single.files.at(0).status, FileStatus::not_listed);
  EXPECT_FALSE(single.passed());
  EXPECT_FALSE(CheckReport{}.passed());
}

TEST(Compare, SingleFileUnderAnotherNameIsFoundByContent) {
  const test::TempFolder folder;
  test::write_bytes(folder / "renamed", "abc");
  const CheckReport report = check_files(folder / "renamed", list_of_x());
  EXPECT_EQ(report.files.at(0).status, FileStatus::ok);
  EXPECT_EQ(report.files.at(0).detail, "listed as x");
  EXPECT_TRUE(report.passed());
}

TEST(Compare, ManifestDigestsOfOneFileMustAllHold) {
  const test::TempFolder folder;
  test::write_bytes(folder / "x", "abc");
  CheckOptions every;
  every.every_digest = true;
  const auto check = [&](const std::string& text) {
    return check_files(folder.path(), release_files(parse_manifest(text, "list")), every).files.at(0).status;
  };
  EXPECT_EQ(check(abc_md5 + "  x\n" + abc_sha256 + "  x\n"), FileStatus::ok);
  EXPECT_EQ(check(std::string(32, '0') + "  x\n" + abc_sha256 + "  x\n"), FileStatus::mismatch);
  EXPECT_EQ(check(abc_md5 + "  x\n" + empty_sha256 + "  x\n"), FileStatus::mismatch);
}

TEST(Compare, ContentOfAnotherReleaseIsNamed) {
  const test::TempFolder folder;
  test::write_bytes(folder / "params.json", params_7b);
  const CheckReport report = check_files(folder.path(), release_part(*find_release("llama-13b"), "files"));
  for (const FileCheck& file : report.files) {
    if (file.name != "params.json") continue;
    EXPECT_EQ(file.status, FileStatus::mismatch);
    EXPECT_NE(file.detail.find("params.json of llama-7b"), std::string::npos) << file.detail;
  }
}

TEST(Compare, FolderOrFifoInPlaceOfAFile) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "x");
  const CheckReport report = check_files(folder.path(), list_of_x());
  EXPECT_EQ(report.files.at(0).status, FileStatus::missing);
  EXPECT_TRUE(report.files.at(0).failed);
}

TEST(Compare, MissingPathIsAnError) {
  test::expect_refused([&] { check_files("/nonexistent/folder", list_of_x()); });
}

TEST(Compare, WrittenFilesAreJudgedByTheirDigests) {
  const test::TempFolder folder;
  test::write_bytes(folder / "x", "abc");
  std::vector<WrittenFile> written = {{"x", 3, {{HashKind::md5, abc_md5}}}, {"y", 1, {}}};
  CheckReport report = check_written(folder.path(), written, list_of_x());
  ASSERT_EQ(report.files.size(), 2U);
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.files[1].status, FileStatus::extra);
  written[0].digests[HashKind::md5] = std::string(32, '0');
  EXPECT_FALSE(check_written(folder.path(), written, list_of_x()).passed());
  EXPECT_FALSE(check_written(folder.path(), {}, list_of_x()).passed());
}

TEST(Compare, ReportForPeopleAndPrograms) {
  const test::TempFolder folder;
  test::write_bytes(folder / "x", "abd");
  test::write_bytes(folder / "other", "");
  const CheckReport report = check_files(folder.path(), list_of_x());
  const std::string text = report_text(report);
  EXPECT_NE(text.find("mismatch"), std::string::npos);
  EXPECT_NE(text.find("expected: MD5 " + abc_md5), std::string::npos);
  EXPECT_NE(text.find("FAILED: 1 mismatch, 1 extra"), std::string::npos);
  const nlohmann::json json = report_json(report);
  EXPECT_EQ(json.at("passed"), false);
  EXPECT_EQ(json.at("files").at(0).at("status"), "mismatch");
  EXPECT_EQ(json.at("files").at(0).at("md5"), "4911e516e5aa21d327512e0c8b197616");
}

TEST(Recognise, ByContentAmongTheKnownReleases) {
  const test::TempFolder folder;
  const std::string checklist =
      "6efc8dab194ab59e49cd24be5574d85e  consolidated.00.pth\n7596560e011154b90eb51a1b15739763  "
      "params.json\n";
  test::write_bytes(folder / "checklist.chk", checklist);
  test::write_bytes(folder / "mine.txt", "mine");
  test::write_bytes(folder / "params.json", params_7b);
  test::write_bytes(folder / "tokenizer.model", std::string(499'723, '\0'));
  const Recognition found = recognise(folder.path());
  ASSERT_EQ(found.files.size(), 4U);
  EXPECT_EQ(found.files[0].detail, "llama-7b");
  EXPECT_EQ(found.files[1].status, FileStatus::not_listed);
  EXPECT_EQ(found.files[2].status, FileStatus::ok);
  EXPECT_EQ(found.files[2].detail, "llama-7b");
  EXPECT_EQ(found.files[3].status, FileStatus::known_bad);
  EXPECT_EQ(found.release, "llama-7b");
  EXPECT_EQ(found.matching, 2U);
  const Recognition single = recognise(folder / "params.json");
  EXPECT_EQ(single.files.at(0).detail, "llama-7b");
  EXPECT_TRUE(single.release.empty());
  EXPECT_THROW(recognise(folder / "absent"), Error);
}

}  // namespace
}  // namespace galatea
