#include "format/plan_journal.h"

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace galatea {
namespace {

const std::string digest_a(32, 'a'), digest_b(64, 'b');

std::string written_journal(const test::TempFolder& folder) {
  PlanJournal journal(folder / "journal", folder.path());
  journal.start("job", "identity", {"first", "second"});
  journal.mark(0, {100, digest_a, "tally"});
  journal.mark(0, {200, digest_b, {}});
  journal.from(0, 150);
  journal.mark(0, {180, digest_a, {}});
  journal.whole(1, {{7, -5}, {{HashKind::sha256, digest_b}}, "t"});
  return test::read_bytes(folder / "journal");
}

JournalContent read_text(std::string_view bytes) { return read_journal(std::as_bytes(std::span(bytes))); }

TEST(PlanJournal, ReadsBackWhatWasWritten) {
  const test::TempFolder folder;
  const std::string bytes = written_journal(folder);
  const JournalContent content = read_text(bytes);
  EXPECT_EQ(content.valid_bytes, bytes.size());
  EXPECT_EQ(content.job, "job");
  EXPECT_EQ(content.identity, "identity");
  EXPECT_EQ(content.names, (std::vector<std::string>{"first", "second"}));
  ASSERT_EQ(content.files.at(0).marks.size(), 2U);
  EXPECT_EQ(content.files[0].marks[0].end, 100U);
  EXPECT_EQ(content.files[0].marks[0].tally, "tally");
  EXPECT_EQ(content.files[0].marks[1].end, 180U);
  EXPECT_FALSE(content.files[0].whole);
  ASSERT_TRUE(content.files[1].whole);
  EXPECT_EQ(content.files[1].whole->stamp, (FileStamp{7, -5}));
  EXPECT_EQ(content.files[1].whole->digests.at(HashKind::sha256), digest_b);
}

TEST(PlanJournal, ATornOrDamagedRecordEndsIt) {
  const test::TempFolder folder;
  const std::string bytes = written_journal(folder);
  std::size_t before = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const JournalContent cut = read_text(bytes.substr(0, length));
    EXPECT_LE(cut.valid_bytes, length);
    EXPECT_GE(cut.valid_bytes, before);
    before = cut.valid_bytes;
    for (const char flip : {'\x01', '\x80'}) {
      std::string damaged = bytes;
      damaged[length] = static_cast<char>(damaged[length] ^ flip);
      EXPECT_LE(read_text(damaged).valid_bytes, length);
    }
  }
}

TEST(PlanJournal, GoesOnBehindATornRecord) {
  const test::TempFolder folder;
  const std::string bytes = written_journal(folder);
  test::write_bytes(folder / "journal", bytes.substr(0, bytes.size() - 3));
  {
    PlanJournal journal(folder / "journal", folder.path());
    EXPECT_FALSE(journal.content().files.at(1).whole);
    journal.go_on();
    journal.mark(0, {190, digest_b, {}});
  }
  const JournalContent content = read_text(test::read_bytes(folder / "journal"));
  EXPECT_EQ(content.files.at(0).marks.back().end, 190U);
}

TEST(PlanJournal, OneThatNothingWasWrittenToLeavesNoFile) {
  const test::TempFolder folder;
  { const PlanJournal journal(folder / "journal", folder.path()); }
  EXPECT_TRUE(test::list_folder(folder.path()).empty());
}

TEST(PlanJournal, IsLocked) {
  const test::TempFolder folder;
  const PlanJournal journal(folder / "journal", folder.path());
  EXPECT_THROW(PlanJournal(folder / "journal", folder.path()), Error);
}

}  // namespace
}  // namespace galatea
