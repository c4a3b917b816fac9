// Every file of tests/attacks is refused with the words that its README promises.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/safetensors.h"
#include "format/shard_index.h"
#include "format/torch_file.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

const std::filesystem::path folder = std::filesystem::path(GALATEA_SOURCE_DIR) / "tests/attacks";

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

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class AttackTest : public testing::TestWithParam<Attack> {};

TEST_P(AttackTest, IsRefusedAtOnceWithItsWords) {
  const auto begin = std::chrono::steady_clock::now();
  const long before = peak_kilobytes();
  try {
    open_any(folder / GetParam().file);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(text.find(GetParam().answer), std::string::npos) << text;
    EXPECT_NE(text.find(GetParam().file), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_LT(peak_kilobytes() - before, 300 * 1024);
  EXPECT_FALSE(std::filesystem::exists("executed-by-pickle"));
}

INSTANTIATE_TEST_SUITE_P(Files, AttackTest, testing::ValuesIn(attacks()), [](const auto& instance) {
  const std::string& name = instance.param.file;
  return "attack_" + name.substr(0, name.find('.'));
});

TEST(Attacks, AllFilesAreInTheTable) {
  std::set<std::string> listed{"README.md", "adapters", "gguf"}, there;  // with tables and tests of their own
  for (const Attack& attack : attacks()) listed.insert(attack.file);
  for (const std::string& name : test::list_folder(folder)) there.insert(name);
  EXPECT_EQ(listed, there);
  EXPECT_GT(listed.size(), 40U);
}

TEST(Attacks, SamplesOfTorchThatAskForMore) {
  const std::vector<Attack> cases{{"os_system.pt", "os.system('touch executed-by-pickle')"},
                                  {"builtins_eval.pt", "builtins.eval('open('executed-by-pickle', 'w')')"},
                                  {"python2_builtin.pt", "__builtin__.eval("},
                                  {"numpy_array.pt", "numpy.core.multiarray._reconstruct(numpy.ndarray, "}};
  for (const Attack& attack : cases) {
    try {
      TorchFile::open(open_file(test::test_data("torch/hostile/" + attack.file)));
      ADD_FAILURE() << "accepted " << attack.file;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find(attack.answer), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace galatea
