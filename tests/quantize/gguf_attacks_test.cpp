// Every file of tests/attacks/gguf is refused with the words that its README promises.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <set>
#include <sstream>

#include "format/error.h"
#include "format/gguf_llama.h"
#include "format/llama_tensors.h"
#include "quantize/importance_file.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(GALATEA_SOURCE_DIR) / "tests/attacks/gguf";

struct Attack {
  std::string file, answer;
};

std::vector<Attack> attacks() {
  std::vector<Attack> out;
  std::istringstream lines(test::read_bytes(folder / "README.md"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| file")) continue;
    const std::size_t end = line.find(" | ");
    const std::size_t from = line.find("| `", end) + 3;
    out.push_back({line.substr(2, end - 2), line.substr(from, line.rfind('`') - from)});
  }
  return out;
}

void open_any(const fs::path& path) {
  if (path.filename().string().find(".imatrix.") != std::string::npos) {
    read_importance_file(path);
    return;
  }
  const Checkpoint checkpoint = Checkpoint::open(path);
  sentencepiece_from_gguf(*checkpoint.gguf());
  const LlamaWeights weights(checkpoint);
}

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class GgufAttackTest : public testing::TestWithParam<Attack> {};

TEST_P(GgufAttackTest, IsRefusedAtOnceWithItsWords) {
  const auto begin = std::chrono::steady_clock::now();
  const long before = peak_kilobytes();
  try {
    open_any(folder / GetParam().file);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(text.find(GetParam().answer), std::string::npos) << text.substr(0, 1000);
    EXPECT_NE(text.find(GetParam().file), std::string::npos) << text.substr(0, 1000);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_LT(peak_kilobytes() - before, 100 * 1024);
}

INSTANTIATE_TEST_SUITE_P(Files, GgufAttackTest, testing::ValuesIn(attacks()), [](const auto& instance) {
  const std::string& name = instance.param.file;
  return "attack_" + name.substr(0, name.find('.'));
});

TEST(GgufAttacks, AllFilesAreInTheTable) {
  std::set<std::string> listed{"README.md"}, there;
  for (const Attack& attack : attacks()) listed.insert(attack.file);
  for (const std::string& name : test::list_folder(folder)) there.insert(name);
  EXPECT_EQ(listed, there);
  EXPECT_GT(listed.size(), 50U);
}

}  // namespace
}  // namespace galatea
