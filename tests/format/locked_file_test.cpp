#include "format/locked_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::read_bytes;
using test::TempFolder;

TEST(LockedFile, TakesOverWhatAnEarlierRunLeft) {
  const TempFolder folder;
  EXPECT_FALSE(LockedFile(folder / "f", folder / "out").existed());
  test::write_bytes(folder / "f", "left");
  const LockedFile file(folder / "f", folder / "out");
  EXPECT_TRUE(file.existed());
  EXPECT_EQ(file.size(), 4U);
  EXPECT_EQ(read_bytes(folder / "f"), "left");
}

TEST(LockedFile, IsHeldByOneAtATime) {
  const TempFolder folder;
  {
    const LockedFile file(folder / "f", folder / "out");
    const Error error = test::error_of([&] { const LockedFile second(folder / "f", folder / "out"); });
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(error.file_name(), (folder / "out").string());
  }
  EXPECT_NO_THROW(LockedFile(folder / "f", folder / "out"));
}

TEST(LockedFile, NeverFollowsOrSharesAPlantedName) {
  const TempFolder folder;
  test::write_bytes(folder / "victim", "precious");
  std::filesystem::create_symlink(folder / "victim", folder / "symbolic");
  std::filesystem::create_hard_link(folder / "victim", folder / "hard");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  for (const char* name : {"symbolic", "hard", "fifo"}) {
    const LockedFile file(folder / name, folder / "out");
    EXPECT_FALSE(file.existed()) << name;
    EXPECT_EQ(file.size(), 0U) << name;
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(folder / name))) << name;
  }
  EXPECT_EQ(read_bytes(folder / "victim"), "precious");
}

TEST(LockedFile, AFolderInItsPlaceIsAnError) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "f");
  EXPECT_THROW(LockedFile(folder / "f", folder / "out"), Error);
}

}  // namespace
}  // namespace galatea
