#include "eval/fast_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/tokenizer.h"
#include "eval/unicode_pattern.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/hash.h"
#include "format/plan.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;
using test::TempFolder;
using test::test_data;

class FastTokenizerGolden : public testing::TestWithParam<const char*> {};

TEST_P(FastTokenizerGolden, AsHuggingFacesTokenizersDoesIt) {
  const std::string name = std::string("tokenizer/fast/") + GetParam();
  const Tokenizer tokenizer = open_tokenizer(test_data(name + ".tokenizer.json"));
  const json golden = json::parse(test::read_bytes(test_data(name + ".golden.json")));
  for (std::size_t i = 0; i < golden.at("texts").size(); ++i) {
    const auto text = golden.at("texts")[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text), golden.at("ids")[i].get<std::vector<std::int32_t>>()) << json(text);
  }
  for (const json& one : golden.at("long")) {
    std::string text;
    const auto piece = one.at("piece").get<std::string>();
    for (std::uint64_t i = 0; i < one.at("count").get<std::uint64_t>(); ++i) text += piece;
    const std::vector<std::int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids.size(), one.at("tokens").get<std::size_t>()) << piece;
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(ids))), one.at("sha256").get<std::string>()) << piece;
  }
  for (const char* bad : {"\xED\xA0\x80", "a\xFF", "\xC0\x80"}) EXPECT_THROW(tokenizer.encode(bad), Error);
}

INSTANTIATE_TEST_SUITE_P(All, FastTokenizerGolden,
                         testing::Values("gpt2", "gpt2-prefix", "llama3", "smollm", "llama",
                                         "llama-normalized", "llama-metaspace", "llama-metaspace-split"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// The vocabulary of a tokenizer.json as llama.cpp's converter puts it into a GGUF.
void write_vocabulary(const std::filesystem::path& file, const json& document, const std::string& words) {
  const json& model = document.at("model");
  std::size_t size = model.at("vocab").size();
  for (const json& token : document.at("added_tokens"))
    size = std::max(size, token.at("id").get<std::size_t>() + 1);
  std::vector<std::string> tokens(size), merges;
  std::vector<std::int32_t> types(size, 1);
  for (const auto& [text, id] : model.at("vocab").items()) tokens.at(id.get<std::size_t>()) = text;
  for (const json& token : document.at("added_tokens")) {
    tokens.at(token.at("id").get<std::size_t>()) = token.at("content").get<std::string>();
    types.at(token.at("id").get<std::size_t>()) = 3;
  }
  for (const json& merge : model.at("merges")) {
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  const bool around = words == "llama-bpe";
  const GgufMetadata metadata = {
      {"tokenizer.ggml.model", std::string("gpt2")},     {"tokenizer.ggml.pre", words},
      {"tokenizer.ggml.tokens", GgufArray{tokens}},      {"tokenizer.ggml.token_type", GgufArray{types}},
      {"tokenizer.ggml.merges", GgufArray{merges}},      {"tokenizer.ggml.bos_token_id", std::uint32_t{0}},
      {"tokenizer.ggml.eos_token_id", std::uint32_t{1}}, {"tokenizer.ggml.add_bos_token", around},
      {"tokenizer.ggml.add_eos_token", around}};
  write_file(gguf_layout("vocabulary.gguf", metadata, {}), file, {});
}

TEST(FastTokenizer, VocabulariesInsideAGgufGiveTheSameIds) {
  const std::pair<const char*, const char*> kinds[] = {
      {"gpt2", "gpt-2"}, {"llama3", "llama-bpe"}, {"smollm", "smollm"}};
  for (const auto& [name, words] : kinds) {
    const std::string start = std::string("tokenizer/fast/") + name;
    const json golden = json::parse(test::read_bytes(test_data(start + ".golden.json")));
    const TempFolder folder;
    write_vocabulary(folder / "v.gguf", json::parse(test::read_bytes(test_data(start + ".tokenizer.json"))),
                     words);
    const Tokenizer tokenizer = open_tokenizer(folder / "v.gguf");
    for (std::size_t i = 0; i < golden.at("texts").size(); ++i) {
      const auto text = golden.at("texts")[i].get<std::string>();
      if (text.find("<|strip|>") != std::string::npos) continue;  // a GGUF cannot say that it strips
      EXPECT_EQ(tokenizer.encode(text), golden.at("ids")[i].get<std::vector<std::int32_t>>())
          << words << json(text);
    }
  }
}

Error error_of(const json& document) {
  const TempFolder folder;
  test::write_bytes(folder / "tokenizer.json", document.dump());
  return test::error_of([&] { open_tokenizer(folder / "tokenizer.json"); });
}

TEST(FastTokenizer, WhatIsNotKnownIsRefusedByName) {
  const json good = json::parse(test::read_bytes(test_data("tokenizer/fast/llama3.tokenizer.json")));
  const auto refused = [&](const char* place, const json& value, const std::string& named) {
    json bad = good;
    bad[json::json_pointer(place)] = value;
    const Error error = error_of(bad);
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
  };
  refused("/model/type", "Unigram", "Unigram");
  refused("/model/dropout", 0.1, "dropout");
  refused("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  refused("/model/merges", json::array({"a b c"}), "a b c");
  refused("/model/merges", json::array({"a zzzzzz"}), "zzzzzz");
  refused("/model/vocab", {{"a", -1}}, "-1");
  refused("/normalizer", {{"type", "NFKC"}}, "NFKC");
  refused("/pre_tokenizer", {{"type", "BertPreTokenizer"}}, "BertPreTokenizer");
  refused("/pre_tokenizer/pretokenizers/0/behavior", "MergedWithNext", "MergedWithNext");
  refused("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(unclosed", "(unclosed");
  refused("/post_processor", {{"type", "BertProcessing"}}, "BertProcessing");
  refused("/added_tokens/0/single_word", true, "single_word");
  refused("/added_tokens/0/content", "", "added token");
  json deep = {{"type", "ByteLevel"}};
  for (int i = 0; i < 30; ++i) deep = {{"type", "Sequence"}, {"pretokenizers", json::array({deep})}};
  refused("/pre_tokenizer", deep, "pre_tokenizer");
  EXPECT_EQ(error_of(json::array()).kind(), ErrorKind::input);
  const std::filesystem::path file = test_data("tokenizer/fast/llama.tokenizer.json");
  EXPECT_THROW(open_tokenizer(file, UnkRule::strip), Error) << "it leaves no choice";
}

TEST(UnicodePattern, EndsHoweverThePatternIsMeant) {
  const UnicodePattern hostile("(x+x+)+[yz]");
  EXPECT_THROW(hostile.find(std::string(5000, 'x'), 0), Error);
  EXPECT_THROW(UnicodePattern("[z-a]"), Error);
  EXPECT_THROW(UnicodePattern(std::string(100000, '(')), Error);
}

}  // namespace
}  // namespace galatea
