#include "converter/journal.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;

TEST(Journal, AStepIsDoneWhileInputsOptionsAndOutputsStay) {
  const test::TempFolder folder;
  test::write_bytes(folder / "in", "abc");
  test::write_bytes(folder / "out", "result");
  const std::string before = fingerprint({{"type", "Q8_0"}}, {folder / "in"});
  {
    Journal journal(folder / "journal");
    EXPECT_EQ(journal.find("quantize", before), nullptr);
    journal.record("quantize", before, {{"bits", 8.5}}, {folder / "out"});
  }
  {
    const Journal journal(folder / "journal");
    const json* result = journal.find("quantize", before);
    ASSERT_NE(result, nullptr);
    EXPECT_EQ(result->at("bits"), 8.5);
    EXPECT_EQ(journal.find("other", before), nullptr);
    EXPECT_EQ(journal.find("quantize", fingerprint({{"type", "Q4_0"}}, {folder / "in"})), nullptr);
  }
  test::write_bytes(folder / "in", "abcd");
  EXPECT_NE(fingerprint({{"type", "Q8_0"}}, {folder / "in"}), before);
  test::write_bytes(folder / "out", "resul");
  EXPECT_EQ(Journal(folder / "journal").find("quantize", before), nullptr);
  std::filesystem::remove(folder / "out");
  EXPECT_EQ(Journal(folder / "journal").find("quantize", before), nullptr);
}

TEST(Journal, FoldersStandForTheirFiles) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "model");
  test::write_bytes(folder / "model/a", "1");
  const std::string before = fingerprint({}, {folder / "model"});
  Journal journal(folder / "journal");
  journal.record("decode", before, nullptr, {folder / "model"});
  EXPECT_NE(journal.find("decode", before), nullptr);
  std::filesystem::remove(folder / "model/a");
  EXPECT_EQ(journal.find("decode", before), nullptr);
  EXPECT_NE(fingerprint({}, {folder / "model"}), before);
}

TEST(Journal, ADamagedOneCountsAsEmpty) {
  const test::TempFolder folder;
  for (const char* text :
       {"", "{", "[1]", R"({"a": 1})", R"({"a": {"fingerprint": "f"}})",
        R"({"a": {"fingerprint": "f", "result": 1, "outputs": [{"path": 7}]}})",
        R"({"a": {"fingerprint": "f", "result": 1, "outputs": [{"path": "/nonexistent", "size": -1}]}})"}) {
    test::write_bytes(folder / "journal", text);
    EXPECT_EQ(Journal(folder / "journal").find("a", "f"), nullptr) << text;
  }
}

}  // namespace
}  // namespace galatea
