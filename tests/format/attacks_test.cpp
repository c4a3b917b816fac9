// Every file of tests/attacks is refused with the words that its README promises.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/safetensors.h"
#include "format/shard_index.h"
#include "format/torch_file.h"
#include "tests/support/attacks.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

const std::filesystem::path folder = std::filesystem::path(GALATEA_SOURCE_DIR) / "tests/attacks";

using test::Attack;

void open_any(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (name.ends_with(".safetensors")) {
    open_safetensors(open_file(path));
  } else if (name.ends_with(".index.json")) {
    read_shard_index_file(path);
  } else {
    (void)TorchFile::open(open_file(path)).values();
  }
}

class AttackTest : public testing::TestWithParam<Attack> {};

TEST_P(AttackTest, IsRefusedAtOnceWithItsWords) {
  test::expect_refused_at_once(folder, GetParam(), 300, open_any);
  EXPECT_FALSE(std::filesystem::exists("executed-by-pickle"));
}

INSTANTIATE_TEST_SUITE_P(Files, AttackTest, testing::ValuesIn(test::attacks_of(folder)),
                         test::name_of_attack);

TEST(Attacks, AllFilesAreInTheTable) {
  test::expect_all_listed(folder,
                          {"adapters", "corpora", "ggml", "gguf"});  // with tables and tests of their own
  EXPECT_GT(test::attacks_of(folder).size(), 40U);
}

TEST(Attacks, SamplesOfTorchThatAskForMore) {
  const std::vector<Attack> cases{{"os_system.pt", "os.system('touch executed-by-pickle')"},
                                  {"builtins_eval.pt", "builtins.eval('open('executed-by-pickle', 'w')')"},
                                  {"python2_builtin.pt", "__builtin__.eval("},
                                  {"numpy_array.pt", "numpy.core.multiarray._reconstruct(numpy.ndarray, "}};
  for (const Attack& attack : cases) {
    SCOPED_TRACE(attack.file);
    test::expect_refused([&] { TorchFile::open(open_file(test::test_data("torch/hostile/" + attack.file))); },
                         attack.answer);
  }
}

}  // namespace
}  // namespace galatea
