#include "verify/chain.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "format/error.h"
#include "tests/support/files.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

// printf a | sha256sum, and so on.
constexpr const char* sha_of_a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
constexpr const char* sha_of_b = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";

// payload/a -> model/b -> model.gguf/c, each a file of one letter.
class Chain : public testing::Test {
 protected:
  Chain() {
    fs::create_directories(folder / "payload");
    fs::create_directories(folder / "model");
    test::write_bytes(folder / "payload/a", "a");
    test::write_bytes(folder / "model/b", "b");
    test::write_bytes(folder / "c.gguf", "c");
    record("decode", folder / "payload/a", "b", sha_of_b, folder / "model");
    record("quantize", folder / "model/b", "c.gguf",
           "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6", folder / "c.gguf");
  }
  static void record(const char* command, const fs::path& input, const char* name, const char* sha256,
                     const fs::path& output) {
    write_provenance({command, "", {input}, {{name, 1, {{HashKind::sha256, sha256}}}}},
                     nlohmann::json::object(), output);
  }
  ChainReport check() const { return check_chain(folder / "c.gguf"); }

  test::TempFolder folder;
};

TEST_F(Chain, LeadsBackToTheFirstInput) {
  const ChainReport report = check();
  ASSERT_EQ(report.links.size(), 2U);
  EXPECT_EQ(report.links[0].command, "quantize");
  EXPECT_EQ(report.links[1].command, "decode");
  EXPECT_EQ(report.links[1].inputs.at(0).sha256, sha_of_a);
  EXPECT_EQ(report.count(ChainStatus::matches), 4U);
  EXPECT_TRUE(report.passed());
  EXPECT_TRUE(chain_text(report).ends_with("2 links: 4 files match")) << chain_text(report);
}

TEST_F(Chain, NamesWhatWasChangedAnywhere) {
  for (const char* name : {"payload/a", "model/b", "c.gguf"}) {
    const std::string before = test::read_bytes(folder / name);
    test::write_bytes(folder / name, "x");
    const ChainReport report = check();
    EXPECT_FALSE(report.passed()) << name;
    EXPECT_NE(chain_text(report).find(std::string(name) + ": DIFFERS"), std::string::npos)
        << chain_text(report);
    test::write_bytes(folder / name, before);
  }
  EXPECT_TRUE(check().passed());
}

TEST_F(Chain, InputsThatAreGoneAreSaidAndOutputsMustBeThere) {
  fs::remove(folder / "payload/a");
  EXPECT_TRUE(check().passed());
  EXPECT_EQ(check().count(ChainStatus::gone), 1U);
  fs::remove(folder / "c.gguf");
  EXPECT_FALSE(check_chain(folder / "c.gguf").passed());
}

TEST_F(Chain, HoldsWhereAllWasMoved) {
  const test::TempFolder other;
  fs::copy(folder.path(), other / "moved", fs::copy_options::recursive);
  for (const char* name : {"payload/a", "model/b"}) test::write_bytes(folder / name, "x");
  EXPECT_TRUE(check_chain(other / "moved/c.gguf").passed());
}

TEST_F(Chain, DigestsOfInputsAreAddedLaterWhileTheyAreUnchanged) {
  const fs::path record = folder / "model/galatea.json";
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(test::read_bytes(record));
  document["inputs"][0].erase("sha256");
  test::write_bytes(record, document.dump());
  EXPECT_EQ(check().count(ChainStatus::unchanged), 1U);
  EXPECT_EQ(complete_chain(folder / "c.gguf"), 1U);
  EXPECT_EQ(check().count(ChainStatus::matches), 4U);
  EXPECT_EQ(complete_chain(folder / "c.gguf"), 0U);
  // Another file than that of then gets none.
  test::write_bytes(record, document.dump());
  test::write_bytes(folder / "payload/a", "A");
  fs::last_write_time(folder / "payload/a", fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_EQ(check().count(ChainStatus::unknown), 1U);
  EXPECT_EQ(complete_chain(folder / "c.gguf"), 0U);
}

TEST_F(Chain, ARecordIsNoWayOutOfItsFolderAndNoWayToStop) {
  const fs::path record = folder / "c.gguf.galatea.json";
  const std::string good = test::read_bytes(record);
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(good);
  const auto refused = [&](const auto& change) {
    nlohmann::ordered_json bad = document;
    change(bad);
    test::write_bytes(record, bad.dump());
    EXPECT_THROW(check(), Error) << bad.dump();
  };
  refused([](auto& r) { r["outputs"][0]["name"] = "../c.gguf"; });
  refused([](auto& r) { r["outputs"][0]["name"] = "/etc/passwd"; });
  refused([](auto& r) { r["outputs"][0].erase("size"); });
  refused([](auto& r) { r["outputs"] = 1; });
  refused([](auto& r) { r["inputs"][0]["size"] = -1; });
  refused([](auto& r) { r["inputs"][0]["path"] = 5; });
  refused([](auto& r) { r = nlohmann::ordered_json::array(); });
  // A record that names its own output as input ends all the same.
  document["inputs"][0]["path"] = (folder / "c.gguf").string();
  document["inputs"][0].erase("relative");
  test::write_bytes(record, document.dump());
  EXPECT_EQ(check().links.size(), 1U);
  fs::remove(record);
  EXPECT_THROW(check(), Error);
}

}  // namespace
}  // namespace galatea
