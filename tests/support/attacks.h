// The hostile files of tests/attacks: the table in a folder's README, and what each of its files must meet.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "format/error.h"
#include "tests/support/files.h"

namespace galatea::test {

struct Attack {
  std::string file, answer;
};

/// The lines "| file | tries | `answer` |".
inline std::vector<Attack> attacks_of(const std::filesystem::path& folder) {
  std::vector<Attack> out;
  std::istringstream lines(read_bytes(folder / "README.md"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| file")) continue;
    const std::size_t end = line.find(" | ");
    const std::size_t from = line.find("| `", end) + 3;
    out.push_back({line.substr(2, end - 2), line.substr(from, line.rfind('`') - from)});
  }
  return out;
}

inline std::string name_of_attack(const testing::TestParamInfo<Attack>& instance) {
  const std::string& name = instance.param.file;
  return "attack_" + name.substr(0, name.find('.'));
}

inline long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// open(folder / attack.file) throws Error(input) with the answer and the file's name, in ten seconds and `megabytes`.
template <class Open>
void expect_refused_at_once(const std::filesystem::path& folder, const Attack& attack, long megabytes,
                            const Open& open) {
  const auto begin = std::chrono::steady_clock::now();
  const long before = peak_kilobytes();
  try {
    open(folder / attack.file);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(text.find(attack.answer), std::string::npos) << text.substr(0, 1000);
    EXPECT_NE(text.find(attack.file), std::string::npos) << text.substr(0, 1000);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_LT(peak_kilobytes() - before, megabytes * 1024);
}

/// Files of the folder and lines of its table are the same; `others` have tables of their own.
inline void expect_all_listed(const std::filesystem::path& folder, std::set<std::string> others) {
  others.insert("README.md");
  for (const Attack& attack : attacks_of(folder)) others.insert(attack.file);
  const std::vector<std::string> there = list_folder(folder);
  EXPECT_EQ(others, std::set<std::string>(there.begin(), there.end()));
}

}  // namespace galatea::test
