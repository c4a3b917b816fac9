// Every file of tests/attacks/gguf is refused with the words that its README promises.
#include <gtest/gtest.h>

#include "format/gguf_llama.h"
#include "format/llama_tensors.h"
#include "quantize/importance_file.h"
#include "tests/support/attacks.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(GALATEA_SOURCE_DIR) / "tests/attacks/gguf";

using test::Attack;

void open_any(const fs::path& path) {
  if (path.filename().string().find(".imatrix.") != std::string::npos) {
    read_importance_file(path);
    return;
  }
  const Checkpoint checkpoint = Checkpoint::open(path);
  sentencepiece_from_gguf(*checkpoint.gguf());
  const LlamaWeights weights(checkpoint);
}

class GgufAttackTest : public testing::TestWithParam<Attack> {};

TEST_P(GgufAttackTest, IsRefusedAtOnceWithItsWords) {
  test::expect_refused_at_once(folder, GetParam(), 100, open_any);
}

INSTANTIATE_TEST_SUITE_P(Files, GgufAttackTest, testing::ValuesIn(test::attacks_of(folder)),
                         test::name_of_attack);

TEST(GgufAttacks, AllFilesAreInTheTable) {
  test::expect_all_listed(folder, {});
  EXPECT_GT(test::attacks_of(folder).size(), 50U);
}

}  // namespace
}  // namespace galatea
