#include "format/job.h"

#include <gtest/gtest.h>

#include "format/error.h"
#include "format/source.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

TEST(Job, AnInputThatChangedSinceItWasOpenedIsNamed) {
  const test::TempFolder folder;
  const fs::path input = folder / "in.bin";
  test::write_bytes(input, "weights");
  SourcePtr opened = open_file(input);
  test::write_bytes(input, "other weights");
  const Job job("copy", {input});
  test::expect_refused([&] { job.require_unchanged_inputs(); }, "in.bin");
  opened.reset();
  EXPECT_NO_THROW(Job("copy", {input}).require_unchanged_inputs());
}

TEST(Job, AnInputThatChangedSinceTheJobBeganIsNamed) {
  const test::TempFolder folder;
  const fs::path input = folder / "in.bin";
  test::write_bytes(input, "weights");
  const Job job("copy", {folder.path()});
  EXPECT_NO_THROW(job.require_unchanged_inputs());
  test::write_bytes(input, "other weights");
  EXPECT_THROW(job.require_unchanged_inputs(), Error);
  fs::remove(input);
  EXPECT_THROW(job.require_unchanged_inputs(), Error);
}

TEST(Job, TheFingerprintFollowsOptionsAndInputs) {
  const test::TempFolder folder;
  const fs::path input = folder / "in.bin";
  test::write_bytes(input, "weights");
  const std::string before = Job("copy", {input}).fingerprint();
  EXPECT_EQ(Job("copy", {folder.path()}).fingerprint(), before);
  EXPECT_NE(Job("move", {input}).fingerprint(), before);
  test::write_bytes(input, "other weights");
  EXPECT_NE(Job("copy", {input}).fingerprint(), before);
}

}  // namespace
}  // namespace galatea
