#include "verify/releases.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "format/error.h"
#include "format/source.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

constexpr std::array all_kinds = {HashKind::md5, HashKind::sha1, HashKind::sha256};

Digests digests_of(std::string_view text) { return digest_source(*memory_source(text, "memory"), all_kinds); }

const ReleaseFile& file_of(std::string_view release, std::string_view name) {
  for (const ReleaseFile& file : release_part(*find_release(release), "files")) {
    if (file.name == name) return file;
  }
  throw Error(ErrorKind::input, "no such file in the release");
}

TEST(Releases, AllAreThere) {
  std::set<std::string> names;
  for (const Release& release : known_releases()) names.insert(release.name);
  EXPECT_EQ(names, (std::set<std::string>{"metharme-13b", "metharme-7b", "pygmalion-13b", "pygmalion-7b",
                                          "oasst-sft-6-llama-30b", "llama-7b", "llama-13b", "llama-30b",
                                          "llama-65b", "llama-7b-hf", "llama-13b-hf", "llama-30b-hf"}));
  EXPECT_EQ(find_release("Metharme-13B"), find_release("metharme-13b"));
  EXPECT_EQ(find_release("metharme-14b"), nullptr);
}

TEST(Releases, EveryShardOfEveryReleaseHasADigest) {
  const std::pair<const char*, std::size_t> shards[] = {{"metharme-13b", 3},
                                                        {"metharme-7b", 2},
                                                        {"pygmalion-13b", 3},
                                                        {"pygmalion-7b", 2},
                                                        {"oasst-sft-6-llama-30b", 7},
                                                        {"llama-7b-hf", 2},
                                                        {"llama-13b-hf", 3},
                                                        {"llama-30b-hf", 7},
                                                        {"llama-7b", 1},
                                                        {"llama-13b", 2},
                                                        {"llama-30b", 4},
                                                        {"llama-65b", 8}};
  for (const auto& [name, count] : shards) {
    std::size_t found = 0;
    for (const ReleaseFile& file : release_part(*find_release(name), "files")) {
      if (!file.name.ends_with(".bin") && !file.name.ends_with(".pth")) continue;
      ++found;
      EXPECT_FALSE(file.variants.empty()) << name << " " << file.name;
    }
    EXPECT_EQ(found, count) << name;
  }
}

TEST(Releases, AlternatesOfThePublishedLists) {
  EXPECT_EQ(file_of("metharme-13b", "config.json").variants.size(), 2U);
  EXPECT_EQ(file_of("llama-13b-hf", "pytorch_model-00003-of-00003.bin").variants.size(), 2U);
  EXPECT_EQ(file_of("oasst-sft-6-llama-30b", "pytorch_model-00003-of-00007.bin").variants.size(), 1U);
  // Its own two lists, and seven shards whose order is not known.
  EXPECT_EQ(file_of("llama-30b-hf", "pytorch_model-00003-of-00007.bin").variants.size(), 9U);
  EXPECT_EQ(file_of("llama-30b-hf", "config.json").variants.size(), 1U);
}

TEST(Releases, Scores) {
  const Release& metharme = *find_release("metharme-13b");
  EXPECT_EQ(metharme.scores.at("wikitext2"), 5.253076553344727);
  EXPECT_EQ(metharme.scores.at("ptb-new"), 27.53407859802246);
  EXPECT_EQ(metharme.scores.at("c4-new"), 7.038073539733887);
  EXPECT_EQ(metharme.score_context, 2048U);
  EXPECT_EQ(find_release("metharme-7b")->scores.at("wikitext2"), 5.7208476066589355);
  EXPECT_EQ(find_release("pygmalion-13b")->scores.at("c4-new"), 7.6324849128723145);
}

TEST(Releases, BaseIsFoundInTheOtherRelease) {
  const Release& metharme = *find_release("metharme-13b");
  EXPECT_EQ(&release_part(metharme, "base"), &release_part(*find_release("llama-13b-hf"), "files"));
  EXPECT_EQ(&release_part(metharme, "meta"), &release_part(*find_release("llama-13b"), "files"));
  EXPECT_THROW(release_part(metharme, "adapter"), Error);
  for (const Release& release : known_releases()) {
    for (const auto& [part, other] : release.parts_elsewhere)
      EXPECT_NE(find_release(other), nullptr) << other;
  }
}

// What can be rebuilt from its description: the data must agree with the bytes, not only with itself.
TEST(Releases, ContentsThatCanBeRebuilt) {
  const Digests params = digests_of(
      R"({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1})");
  const auto found = find_publications(params);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].release->name, "llama-7b");
  EXPECT_EQ(found[0].file->name, "params.json");

  const Digests generation = digests_of(
      "{\n  \"_from_model_config\": true,\n  \"bos_token_id\": 1,\n  \"eos_token_id\": 2,\n  "
      "\"pad_token_id\": 0,\n"
      "  \"transformers_version\": \"4.28.0.dev0\"\n}\n");
  std::set<std::string> releases;
  for (const Publication& p : find_publications(generation)) releases.insert(p.release->name);
  EXPECT_EQ(releases, (std::set<std::string>{"metharme-7b", "pygmalion-7b", "oasst-sft-6-llama-30b",
                                             "llama-7b-hf", "llama-13b-hf"}));
}

TEST(Releases, KnownBadContentsAreRecognised) {
  const std::string zeros(499'723, '\0');
  const KnownBad* bad = find_known_bad("tokenizer.model", zeros.size(), digests_of(zeros));
  ASSERT_NE(bad, nullptr);
  EXPECT_NE(bad->meaning.find("zero"), std::string::npos);
  EXPECT_FALSE(bad->remedy.empty());

  const ReleaseFile& params = file_of("llama-13b", "params.json");
  for (const char* end : {"\n", "\r\n"}) {
    const std::string text =
        R"({"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-06, "vocab_size": -1})" +
        std::string(end);
    EXPECT_NE(find_known_bad("params.json", text.size(), digests_of(text), params.known_bad), nullptr);
    EXPECT_EQ(find_known_bad("params.json", text.size(), digests_of(text + " "), params.known_bad), nullptr);
  }
  // The container of a newer torch is told by its size.
  EXPECT_NE(find_known_bad("pytorch_model-00001-of-00002.bin", 9'976'635'045U, {}), nullptr);
  EXPECT_EQ(find_known_bad("pytorch_model-00001-of-00002.bin", 9'976'634'558U, {}), nullptr);
}

TEST(Releases, DescriptionFromAFile) {
  const Release release = parse_release(
      R"({"name": "mini", "files": [{"name": "a.bin", "size": 3, "md5": "900150983CD24FB0D6963F7D28E17F72",
          "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}],
          "base": [{"name": "b"}], "adapter": [{"name": "c"}], "training": [1, 2],
          "scores": {"ctx": 256, "wikitext2": 12.5}, "streams": {"wikitext2": {}}})",
      "mini.json");
  const ReleaseFile& file = release_part(release, "files").at(0);
  EXPECT_EQ(file.size, 3U);
  EXPECT_EQ(file.variants.at(0).digests.at(HashKind::md5), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(release_part(release, "base").at(0).name, "b");
  EXPECT_TRUE(release_part(release, "base").at(0).variants.empty());
  EXPECT_EQ(release_part(release, "adapter").at(0).name, "c");
  EXPECT_EQ(release.score_context, 256U);
  EXPECT_EQ(release.scores.size(), 1U);
}

TEST(Releases, BrokenDescriptionsAreErrors) {
  const char* broken[] = {
      "",
      "[]",
      "{",
      "{}",
      R"({"name": "x"})",
      R"({"name": "x", "files": []})",
      R"({"name": "x", "files": [1]})",
      R"({"name": "x", "files": [{"name": "../a"}]})",
      R"({"name": "x", "files": [{"name": "a"}, {"name": "a"}]})",
      R"({"name": "x", "files": [{"name": "a", "md5": "12"}]})",
      R"({"name": "x", "files": [{"name": "a", "size": -1}]})",
      R"({"name": "x", "files": [{"name": "a", "sha1": "900150983cd24fb0d6963f7d28e17f72"}]})",
      R"({"name": "x", "files": [{"name": "a", "alternates": [{}]}]})",
      R"({"name": "x", "files": [{"name": "a", "alternates": [3]}]})",
      R"({"name": "x", "files": [{"name": "a", "optional": 1}]})",
      R"({"name": "x", "files": [{"name": "a"}], "scores": {"ctx": 0}})",
      R"({"name": "x", "files": [{"name": "a"}], "scores": {"wikitext2": "5"}})",
      R"({"name": "x", "files": [{"name": "a"}], "base": 7})"};
  for (const char* text : broken) {
    SCOPED_TRACE(text);
    const Error error = test::error_of([&] { parse_release(text, "mini.json"); });
    EXPECT_EQ(error.kind(), ErrorKind::input) << text;
    EXPECT_EQ(error.file_name(), "mini.json") << text;
  }
}

TEST(Releases, UnknownNameListsTheKnownOnes) {
  test::expect_error(
      ErrorKind::usage, [&] { resolve_release("pygmalion-70b"); }, "oasst-sft-6-llama-30b");
}

}  // namespace
}  // namespace galatea
