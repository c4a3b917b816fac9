#include "format/lfs_pointer.h"

#include <gtest/gtest.h>

#include <string>

#include "format/checkpoint.h"
#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

const std::string version = "version https://git-lfs.github.com/spec/v1\n";
const std::string oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";

TEST(LfsPointer, ReadsWhatGitLfsWrites) {
  const auto pointer = parse_lfs_pointer(version + "oid sha256:" + oid + "\nsize 12345\n");
  ASSERT_TRUE(pointer);
  EXPECT_EQ(pointer->sha256, oid);
  EXPECT_EQ(pointer->size, 12345U);
  EXPECT_TRUE(parse_lfs_pointer(version + "ext-0-foo sha256:" + oid + "\noid sha256:" + oid + "\nsize 0"));
  const auto windows =
      parse_lfs_pointer("version https://git-lfs.github.com/spec/v1\r\noid sha256:" + oid + "\r\nsize 7\r\n");
  ASSERT_TRUE(windows);
  EXPECT_EQ(windows->size, 7U);
}

TEST(LfsPointer, NothingElseIsOne) {
  const std::string texts[] = {
      "",
      version,
      version + "oid sha256:" + oid + "\n",
      version + "size 1\n",
      version + "oid sha256:" + oid.substr(1) + "\nsize 1\n",
      version + "oid sha256:" + oid.substr(1) + "g\nsize 1\n",
      version + "oid md5:" + oid + "\nsize 1\n",
      version + "oid sha256:" + oid + "\nsize -1\n",
      version + "oid sha256:" + oid + "\nsize 99999999999999999999999\n",
      version + "oid sha256:" + oid + "\nsize 1\nsize 2\n",
      version + "oid sha256:" + oid + "\noid sha256:" + oid + "\nsize 2\n",
      "version https://git-lfs.github.com/spec/v10\noid sha256:" + oid + "\nsize 1\n",
      version + "oid sha256:" + oid + "\nsize 1\n" + std::string(1024, 'x')};
  for (const std::string& text : texts) EXPECT_FALSE(parse_lfs_pointer(text)) << text;
}

TEST(LfsPointer, InPlaceOfWeightsIsNamedWithItsRemedy) {
  const test::TempFolder folder;
  const std::string pointer = version + "oid sha256:" + oid + "\nsize 12345\n";
  test::write_bytes(folder / "pytorch_model.bin", pointer);
  test::write_bytes(folder / "lone.safetensors", pointer);
  for (const auto& path : {folder.path(), folder / "lone.safetensors"}) {
    const Error error = test::error_of([&] { (void)Checkpoint::open(path); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("Git LFS pointer"), std::string::npos) << error.what();
    EXPECT_NE(error.remedy_text().find("git lfs pull"), std::string::npos);
  }
}

}  // namespace
}  // namespace galatea
