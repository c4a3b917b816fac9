// Every file of tests/attacks/ggml is refused with the words that its README promises.
#include <gtest/gtest.h>

#include "format/gguf_llama.h"
#include "format/llama_tensors.h"
#include "tests/support/attacks.h"

namespace galatea {
namespace {

const std::filesystem::path folder = std::filesystem::path(GALATEA_SOURCE_DIR) / "tests/attacks/ggml";

void open_any(const std::filesystem::path& path) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  sentencepiece_from_gguf(*checkpoint.gguf());
  const LlamaWeights weights(checkpoint);
}

class GgmlAttackTest : public testing::TestWithParam<test::Attack> {};

TEST_P(GgmlAttackTest, IsRefusedAtOnceWithItsWords) {
  test::expect_refused_at_once(folder, GetParam(), 100, open_any);
}

INSTANTIATE_TEST_SUITE_P(Files, GgmlAttackTest, testing::ValuesIn(test::attacks_of(folder)),
                         test::name_of_attack);

TEST(GgmlAttacks, AllFilesAreInTheTable) {
  test::expect_all_listed(folder, {});
  EXPECT_GT(test::attacks_of(folder).size(), 25U);
}

}  // namespace
}  // namespace galatea
