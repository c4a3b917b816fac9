#include "verify/pointer_manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "format/error.h"
#include "tests/support/files.h"
#include "verify/compare.h"
#include "verify/recognise.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

std::string pointer(const std::string& sha256, std::uint64_t size) {
  return "version https://git-lfs.github.com/spec/v1\noid sha256:" + sha256 + "\nsize " +
         std::to_string(size) + "\n";
}

CheckReport check(const fs::path& folder, const fs::path& pointers) {
  CheckOptions options;
  options.every_digest = true;
  return check_files(folder, release_files(read_pointer_manifest(pointers)), options);
}

TEST(PointerManifest, AFolderOfPointersChecksDigestAndSize) {
  const test::TempFolder folder;
  fs::create_directories(folder / "repo/sub/.git");
  fs::create_directories(folder / "have/sub");
  test::write_bytes(folder / "repo/model.bin", pointer(abc, 3));
  test::write_bytes(folder / "repo/sub/part.bin", pointer(abc, 3));
  test::write_bytes(folder / "repo/config.json", "{}");
  test::write_bytes(folder / "repo/README.md", "# Read me");
  test::write_bytes(folder / "repo/.gitattributes", "*.bin filter=lfs");
  test::write_bytes(folder / "repo/sub/.git/model.bin", pointer(abc, 3));
  const Manifest manifest = read_pointer_manifest(folder / "repo");
  ASSERT_EQ(manifest.entries.size(), 3U);
  EXPECT_EQ(manifest.entries[0].name, "config.json");
  EXPECT_TRUE(manifest.entries[0].optional);
  EXPECT_EQ(manifest.entries[1].name, "model.bin");
  EXPECT_EQ(manifest.entries[1].digest, abc);
  EXPECT_EQ(manifest.entries[1].size, 3U);
  EXPECT_EQ(manifest.entries[2].name, "sub/part.bin");

  test::write_bytes(folder / "have/model.bin", "abc");
  test::write_bytes(folder / "have/sub/part.bin", "abc");
  EXPECT_TRUE(check(folder / "have", folder / "repo").passed());
  test::write_bytes(folder / "have/config.json", "{ }");
  EXPECT_EQ(check(folder / "have", folder / "repo").files[0].status, FileStatus::mismatch);
  test::write_bytes(folder / "have/config.json", "{}");
  test::write_bytes(folder / "have/model.bin", "ab");
  const CheckReport report = check(folder / "have", folder / "repo");
  EXPECT_EQ(report.files[1].status, FileStatus::mismatch);
  EXPECT_NE(report.files[1].detail.find("2 bytes instead of 3"), std::string::npos) << report.files[1].detail;
  EXPECT_FALSE(report.passed());
}

TEST(PointerManifest, ASizeThatContradictsTheDigestIsAMismatch) {
  const test::TempFolder folder;
  test::write_bytes(folder / "pointer", pointer(abc, 4));
  test::write_bytes(folder / "x", "abc");
  Manifest manifest = read_pointer_manifest(folder / "pointer");
  ASSERT_EQ(manifest.entries.size(), 1U);
  manifest.entries[0].name = "x";
  const CheckReport report = check_files(folder / "x", release_files(manifest));
  EXPECT_EQ(report.files[0].status, FileStatus::mismatch);
  EXPECT_FALSE(report.passed());
}

TEST(PointerManifest, AFolderThatStillHoldsItsPointersIsNamedAsSuch) {
  const test::TempFolder folder;
  fs::create_directory(folder / "repo");
  test::write_bytes(folder / "repo/model.bin", pointer(abc, 3));
  const FileCheck file = check(folder / "repo", folder / "repo").files.at(0);
  EXPECT_EQ(file.status, FileStatus::mismatch);
  EXPECT_NE(file.detail.find("a Git LFS pointer to the right file"), std::string::npos) << file.detail;
  const Recognition recognition = recognise(folder / "repo");
  EXPECT_TRUE(recognition.files.at(0).failed);
  EXPECT_NE(recognition.files.at(0).remedy.find("git lfs pull"), std::string::npos);
}

TEST(PointerManifest, WithoutPointersItIsNone) {
  const test::TempFolder folder;
  fs::create_directory(folder / "repo");
  test::write_bytes(folder / "repo/config.json", "{}");
  EXPECT_THROW((void)read_pointer_manifest(folder / "repo"), Error);
  test::write_bytes(folder / "sums", abc + "  model.bin\n");
  EXPECT_FALSE(is_pointer_manifest(folder / "sums"));
  EXPECT_FALSE(is_pointer_manifest(folder / "absent"));
}

}  // namespace
}  // namespace galatea
