// Damaged files, and what the public readers say of them (scripts/oracles/verdict_goldens.py): ours reads nothing that
// those refuse. What ours refuses and those read is listed here with the reason.
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/source.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using Reasons = std::map<std::string, int>;

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

/// How often ours refuses what the public reader reads, by the first words of the error.
Reasons stricter(const std::string& list, std::size_t least,
                 const std::function<void(const SourcePtr&)>& read) {
  Reasons reasons;
  std::ifstream file(test::test_data("verdicts/" + list));
  std::string line;
  std::size_t lines = 0;
  while (std::getline(file, line)) {
    ++lines;
    const bool readable = line.at(0) == '1';
    try {
      read(memory_source(from_hex(std::string_view(line).substr(2)), "damaged"));
      EXPECT_TRUE(readable) << "line " << lines << " of " << list
                            << " is read here and refused by the public reader";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      if (readable) ++reasons[first_line(error.what())];
    }
  }
  EXPECT_GE(lines, least) << list;
  return reasons;
}

TEST(Verdicts, SafetensorsAreThoseOfTheOfficialLibrary) {
  const Reasons reasons =
      stricter("safetensors.txt", 300, [](const SourcePtr& source) { open_safetensors(source); });
  // The format's own text asks for the first of them and for names that stand once; a member that nobody knows may mean that
  // the bytes are to be read otherwise.
  EXPECT_EQ(reasons, Reasons({{"the safetensors header does not start with '{'", 1},
                              {"the JSON has the same name twice in one object", 1},
                              {"the entry of a tensor has an unknown member", 1}}));
}

TEST(Verdicts, GgufsAreThoseOfGgufPy) {
  const Reasons reasons = stricter("gguf.txt", 250, [](const SourcePtr& source) { GgufFile::read(source); });
  // llama.cpp refuses it as we do.
  EXPECT_EQ(reasons, Reasons({{"the offset of a tensor, 1, is no multiple of 32", 1}}));
}

}  // namespace
}  // namespace galatea
