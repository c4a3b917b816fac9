// Every file of tests/attacks/corpora is refused with the words that its README promises.
#include <gtest/gtest.h>

#include <cstdint>

#include "eval/unpacked_text.h"
#include "tests/support/attacks.h"

namespace galatea {
namespace {

const std::filesystem::path folder = std::filesystem::path(GALATEA_SOURCE_DIR) / "tests/attacks/corpora";

void read_all(const std::filesystem::path& path) {
  UnpackedText text(open_file(path), "");
  text.rest(std::uint64_t{1} << 20U);
}

class CorpusAttackTest : public testing::TestWithParam<test::Attack> {};

TEST_P(CorpusAttackTest, IsRefusedAtOnceWithItsWords) {
  test::expect_refused_at_once(folder, GetParam(), 100, read_all);
}

INSTANTIATE_TEST_SUITE_P(Files, CorpusAttackTest, testing::ValuesIn(test::attacks_of(folder)),
                         test::name_of_attack);

TEST(CorpusAttacks, AllFilesAreInTheTable) { test::expect_all_listed(folder, {}); }

}  // namespace
}  // namespace galatea
