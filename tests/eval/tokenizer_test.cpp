#include "eval/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/python_text.h"
#include "format/error.h"
#include "format/gguf_llama.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;
using test::TempFolder;
using test::test_data;
using test::write_bytes;
using Ids = std::vector<std::int32_t>;

const char* const miniature_model = "miniature/meta/tokenizer.model";

json read_json(const std::filesystem::path& file) { return json::parse(test::read_bytes(file)); }

/// golden/tokens.json: awkward texts, through transformers' slow tokenizer.
void expect_golden(const char* vocabulary, const std::filesystem::path& file) {
  const json golden = read_json(test_data("miniature/golden/tokens.json")).at(vocabulary);
  const std::pair<const char*, UnkRule> rules[] = {{"no_strip", UnkRule::no_strip},
                                                   {"strip", UnkRule::strip}};
  for (const auto& [name, rule] : rules) {
    const Tokenizer tokenizer = open_tokenizer(file, rule);
    ASSERT_GT(golden.at(name).size(), 50U);
    for (const json& sample : golden.at(name)) {
      EXPECT_EQ(tokenizer.encode(sample.at("text").get<std::string>()), sample.at("ids").get<Ids>())
          << name << ": " << sample.at("text");
    }
  }
}

TEST(Tokenizer, AwkwardTextsWithTheMiniatureVocabulary) {
  expect_golden("miniature", test_data(miniature_model));
}

TEST(Tokenizer, AwkwardTextsWithTheVocabularyOfLlama) {
  GALATEA_SHARED_DATA_OR_SKIP(file, "tokenizer.model");
  expect_golden("llama", file);
}

class TokenizerFiles : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerFiles, RulesAreThoseOfTransformers) {
  const json golden = read_json(test_data("tokenizer/" + std::string(GetParam()) + ".json"));
  const auto texts = golden.at("texts").get<std::vector<std::string>>();
  ASSERT_GT(golden.at("cases").size(), 10U);
  for (const json& one : golden.at("cases")) {
    const TempFolder folder;
    std::filesystem::copy_file(test_data(miniature_model), folder / "tokenizer.model");
    for (const auto& [name, content] : one.at("files").items()) write_bytes(folder / name, content.dump());
    const Tokenizer tokenizer = open_tokenizer(folder.path());
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(tokenizer.encode(texts[i]), one.at("ids")[i].get<Ids>())
          << one.at("name") << ": " << json(texts[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(OfACheckpoint, TokenizerFiles, testing::Values("rules", "rules_legacy_false"),
                         [](const auto& test) { return std::string(test.param); });

/// What later tools write instead of added_tokens.json, with flags of its own.
TEST(Tokenizer, AddedTokensOfTheConfigurationAreThoseOfTheirList) {
  const TempFolder list, decoder, strict;
  for (const TempFolder* folder : {&list, &decoder, &strict})
    std::filesystem::copy_file(test_data(miniature_model), *folder / "tokenizer.model");
  write_bytes(list / "added_tokens.json", R"({"<pad>": 512, "<|user|>": 513})");
  const auto entries = [](const char* strip) {
    const std::string flags = R"(", "lstrip": )" + std::string(strip) + R"(, "rstrip": )" + strip + "}";
    return R"({"added_tokens_decoder": {"0": {"content": "<unk>"}, "512": {"content": "<pad>)" + flags +
           R"(, "513": {"content": "<|user|>)" + flags + "}}";
  };
  write_bytes(decoder / "tokenizer_config.json", entries("true"));
  write_bytes(strict / "tokenizer_config.json", entries("false"));
  for (const char* text : {"x <pad> y", " <|user|> <unk> the", "<|user|><pad>"}) {
    EXPECT_EQ(open_tokenizer(decoder.path()).encode(text), open_tokenizer(list.path()).encode(text)) << text;
  }
  EXPECT_EQ(open_tokenizer(decoder.path()).vocabulary_size(), 514U);
  EXPECT_EQ(open_tokenizer(strict.path()).encode(" <pad>"), (Ids{1, 273, 512}));
  EXPECT_EQ(open_tokenizer(list.path()).encode(" <pad>"), (Ids{1, 512}));
  write_bytes(strict / "added_tokens.json", R"({"<pad>": 512})");  // it wins where both are there
  EXPECT_EQ(open_tokenizer(strict.path()).encode(" <pad>"), (Ids{1, 512}));
}

TEST(Tokenizer, SaysWhichRuleItFollowsAndWhy) {
  const TempFolder folder;
  std::filesystem::copy_file(test_data(miniature_model), folder / "tokenizer.model");
  const auto special = [&] { return open_tokenizer(folder.path()).special(); };
  EXPECT_EQ(special().variant, "no-strip");
  EXPECT_EQ(special().source, "the default of LlamaTokenizer");
  write_bytes(folder / "special_tokens_map.json", R"({"unk_token": "<unk>"})");
  EXPECT_EQ(special().variant, "strip");
  EXPECT_EQ(special().source, "special_tokens_map.json");
  write_bytes(folder / "tokenizer_config.json", R"({"legacy": false})");
  EXPECT_EQ(special().variant, "legacy-false");
  write_bytes(folder / "special_tokens_map.json", R"({"unk_token": "", "bos_token": null})");
  EXPECT_EQ(special().variant, "plain");
  EXPECT_EQ(special().first, std::nullopt);
  EXPECT_EQ(open_tokenizer(folder.path(), UnkRule::strip).special().source, "asked for");
}

TEST(Tokenizer, DamagedTokenizerFilesAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"special_tokens_map.json", "[]"},
      {"special_tokens_map.json", R"({"unk_token": 3})"},
      {"special_tokens_map.json", R"({"unk_token": {"lstrip": true}})"},
      {"special_tokens_map.json", R"({"unk_token": {"content": "<unk>", "lstrip": 1}})"},
      {"special_tokens_map.json", R"({"additional_special_tokens": "x"})"},
      {"special_tokens_map.json", R"({"unk_token": "<unk>)"},
      {"tokenizer_config.json", R"({"add_bos_token": "yes"})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": []})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"512": 3}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"5": {"content": "<s>"}}})"},
      {"added_tokens.json", R"({"<pad>": -1})"},
      {"added_tokens.json", R"({"<pad>": 99999999999})"},
      {"added_tokens.json", R"({"": 512})"},
      {"added_tokens.json", R"({"<s>": 5})"},
  };
  for (const auto& [name, content] : cases) {
    const TempFolder folder;
    std::filesystem::copy_file(test_data(miniature_model), folder / "tokenizer.model");
    write_bytes(folder / name, content);
    SCOPED_TRACE(content);
    const Error error = test::error_of([&] { open_tokenizer(folder.path()); });
    EXPECT_EQ(error.kind(), ErrorKind::input) << content;
    EXPECT_EQ(error.file_name(), (folder / name).string()) << content;
  }
}

TEST(Tokenizer, InvalidUtf8IsRefusedWithItsPlace) {
  const Tokenizer tokenizer = open_tokenizer(test_data(miniature_model));
  for (const std::string_view text : {std::string_view("ab\xFF"), std::string_view("ab\xC0\x80"),
                                      std::string_view("ab\xED\xA0\x80"), std::string_view("ab\xE2\x96")}) {
    const Error error = test::error_of([&] { tokenizer.encode(text); });
    EXPECT_EQ(error.byte(), 2U);
  }
}

/// A reference without cuts: SentencePiece on the whole text.
TEST(Segmenter, CutsDoNotChangeTheIds) {
  Segmenter segmenter(read_sentencepiece_model(*open_file(test_data(miniature_model))), "miniature");
  std::string text = test::read_bytes(test_data("miniature/corpora/wiki.test.raw"));
  text.resize(20000);
  text += "  two   three    four \xE2\x96\x81 \xE2\x96\x81\xE2\x96\x81x \n \n\n  y ";
  std::string unspaced = text;  // cut between letters that no piece has together
  std::erase_if(unspaced, [](char c) { return c == ' ' || c == '\n'; });
  text += unspaced + "\xF0\x9F\x98\x80\xF0\x9F\x98\x80 caf\xC3\xA9\xE4\xBD\xA0\xE5\xA5\xBD" +
          std::string(9, '\0');
  for (const auto prefix : {Segmenter::Prefix::as_model, Segmenter::Prefix::none}) {
    segmenter.set_part_bytes(text.size());
    const Ids whole = segmenter.segment(text, prefix);
    for (const std::size_t bytes : {1U, 7U, 100U, 4096U}) {
      segmenter.set_part_bytes(bytes);
      EXPECT_EQ(segmenter.segment(text, prefix), whole) << bytes;
    }
  }
}

TEST(Segmenter, PiecesThatReachAcrossSpacesAreNotCut) {
  SentencePieceModel model = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  model.pieces.push_back({"a\xE2\x96\x81", 100.0F, PieceType::normal});
  Segmenter segmenter(model, "with a piece across");
  segmenter.set_part_bytes(1);
  EXPECT_EQ(segmenter.segment("a b", Segmenter::Prefix::none).front(), 512);
}

TEST(Segmenter, LongTextsTakeTimeInProportion) {
  const Segmenter segmenter(read_sentencepiece_model(*open_file(test_data(miniature_model))), "miniature");
  EXPECT_GT(segmenter.segment(std::string(1 << 20U, 'a'), Segmenter::Prefix::as_model).size(), 1000U);
  EXPECT_GT(segmenter.segment(std::string(1 << 20U, ' '), Segmenter::Prefix::as_model).size(), 1000U);
  EXPECT_GT(segmenter.segment(std::string(1 << 20U, '\0'), Segmenter::Prefix::as_model).size(), 1U << 20U);
}

TEST(Segmenter, VocabulariesOfOtherKindsAreRefused) {
  const SentencePieceModel good = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  const auto refused = [&](auto change) {
    SentencePieceModel model = good;
    change(model);
    try {
      const Segmenter segmenter(model, "hostile");
    } catch (const Error& error) {
      return error.kind() == ErrorKind::input && error.file_name() == "hostile";
    }
    return false;
  };
  EXPECT_TRUE(refused([](auto& m) { m.algorithm = SentencePieceAlgorithm::unigram; }));
  EXPECT_TRUE(refused([](auto& m) { m.precompiled_charsmap = std::string(100, '\xFF'); }));
  EXPECT_TRUE(refused([](auto& m) { m.pieces[300].text = std::string(5000, 'x'); }));
  EXPECT_TRUE(refused([](auto& m) { m.byte_fallback = false; })) << "byte pieces without byte fallback";
  EXPECT_TRUE(refused([](auto& m) { m.pieces.erase(m.pieces.begin() + 10); })) << "a byte is missing";
  EXPECT_FALSE(refused([](auto&) {}));
}

/// SentencePiece gets a message that we wrote: read back, it is the model.
TEST(SentencePieceProto, WritesWhatItReads) {
  const SentencePieceModel model = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  const SentencePieceModel again =
      read_sentencepiece_model(*memory_source(write_sentencepiece_model(model), "written"));
  ASSERT_EQ(again.pieces.size(), model.pieces.size());
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    EXPECT_EQ(again.pieces[i].text, model.pieces[i].text);
    EXPECT_EQ(again.pieces[i].score, model.pieces[i].score);
    EXPECT_EQ(again.pieces[i].type, model.pieces[i].type);
  }
  EXPECT_EQ(again.algorithm, model.algorithm);
  EXPECT_EQ(again.byte_fallback, model.byte_fallback);
  EXPECT_EQ(again.pad_id, model.pad_id);
  EXPECT_EQ(again.bos_id, model.bos_id);
  EXPECT_EQ(again.unk_piece, model.unk_piece);
  EXPECT_EQ(again.add_dummy_prefix, model.add_dummy_prefix);
  EXPECT_EQ(again.remove_extra_whitespaces, model.remove_extra_whitespaces);
  EXPECT_EQ(again.escape_whitespaces, model.escape_whitespaces);
  EXPECT_EQ(again.treat_whitespace_as_suffix, model.treat_whitespace_as_suffix);
}

/// A GGUF that holds only the vocabulary of `model`; `change` may damage it.
template <class Change>
void write_gguf(const std::filesystem::path& path, const SentencePieceModel& model, Change change) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
  for (const SentencePiece& piece : model.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<std::int32_t>(piece.type));
  }
  GgufMetadata metadata = {
      {"tokenizer.ggml.model", std::string("llama")},    {"tokenizer.ggml.tokens", GgufArray{tokens}},
      {"tokenizer.ggml.scores", GgufArray{scores}},      {"tokenizer.ggml.token_type", GgufArray{types}},
      {"tokenizer.ggml.bos_token_id", std::uint32_t{1}}, {"tokenizer.ggml.eos_token_id", std::uint32_t{2}},
  };
  change(metadata);
  write_file(gguf_layout(path.filename().string(), metadata, {}), path, {});
}

TEST(GgufVocabulary, GivesTheIdsOfTheModelItCameFrom) {
  const SentencePieceModel model = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  const TempFolder folder;
  write_gguf(folder / "vocabulary.gguf", model, [](GgufMetadata&) {});
  const Tokenizer tokenizer = open_tokenizer(folder / "vocabulary.gguf");
  const json golden = read_json(test_data("miniature/golden/tokens.json")).at("miniature").at("no_strip");
  for (const json& sample : golden)
    EXPECT_EQ(tokenizer.encode(sample.at("text").get<std::string>()), sample.at("ids").get<Ids>());
  EXPECT_EQ(tokenizer.vocabulary_size(), 512U);
}

TEST(GgufVocabulary, MetadataSaysWhatGoesAround) {
  const SentencePieceModel model = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  const TempFolder folder;
  write_gguf(folder / "v.gguf", model, [](GgufMetadata& m) {
    m.push_back({"tokenizer.ggml.add_bos_token", false});
    m.push_back({"tokenizer.ggml.add_eos_token", true});
    m.push_back({"tokenizer.ggml.add_space_prefix", false});
  });
  const auto bare_a = std::find_if(model.pieces.begin(), model.pieces.end(),
                                   [](const SentencePiece& piece) { return piece.text == "a"; });
  EXPECT_EQ(open_tokenizer(folder / "v.gguf").encode("a<unk>"),
            (Ids{static_cast<std::int32_t>(bare_a - model.pieces.begin()), 0, 2}));
}

TEST(GgufVocabulary, DamagedOnesAreRefused) {
  const SentencePieceModel model = read_sentencepiece_model(*open_file(test_data(miniature_model)));
  const auto refused = [&](auto change) {
    const TempFolder folder;
    write_gguf(folder / "v.gguf", model, change);
    try {
      open_tokenizer(folder / "v.gguf");
    } catch (const Error& error) {
      return error.kind() == ErrorKind::input;
    }
    return false;
  };
  const auto set = [](GgufMetadata& m, std::size_t entry, GgufValue value) {
    m[entry].value = std::move(value);
  };
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 0, std::string("gpt2")); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { m.erase(m.begin()); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { m.erase(m.begin() + 2); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 1, GgufArray{std::vector<std::string>(3, "a")}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 1, GgufArray{std::vector<std::string>(512, "a")}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 1, GgufArray{std::vector<std::string>(512, "")}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 2, GgufArray{std::vector<float>(512, NAN)}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 3, GgufArray{std::vector<std::int32_t>(512, 1)}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 3, GgufArray{std::vector<std::int32_t>(512, 9)}); }));
  EXPECT_TRUE(refused([&](GgufMetadata& m) { set(m, 4, std::uint32_t{512}); }));
  EXPECT_FALSE(refused([&](GgufMetadata&) {}));
}

TEST(OpenTokenizer, FindsTheModelBesideTheWeights) {
  const TempFolder folder;
  std::filesystem::copy_file(test_data(miniature_model), folder / "tokenizer.model");
  std::filesystem::create_directory(folder / "7B");
  write_bytes(folder / "pytorch_model.bin", "PK");
  EXPECT_EQ(open_tokenizer(folder / "7B").encode("a"), (Ids{1, 262})) << "Meta keeps it one folder up";
  EXPECT_EQ(open_tokenizer(folder / "pytorch_model.bin").encode("a"), (Ids{1, 262}));
  const TempFolder empty;
  EXPECT_THROW(open_tokenizer(empty.path()), Error);
  EXPECT_THROW(open_tokenizer(empty / "tokenizer.model"), Error);
}

TEST(PythonText, StripsWhatPythonStrips) {
  EXPECT_EQ(
      python_strip(" \t\n\v\f\r\x1C\x1D\x1E\x1F\xC2\x85\xC2\xA0 a b \xE2\x80\x80\xE2\x80\x8A\xE3\x80\x80"),
      "a b");
  EXPECT_EQ(python_strip("\xE2\x80\x8B"), "\xE2\x80\x8B") << "U+200B is no space";
  EXPECT_EQ(python_strip("\xE1\x9A\x80\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\x9F"), "");
  EXPECT_EQ(python_rstrip(" a "), " a");
  EXPECT_EQ(python_lstrip(" a "), "a ");
  EXPECT_EQ(python_strip(std::string_view("\0 ", 2)), std::string_view("\0", 1));
}

}  // namespace
}  // namespace galatea
