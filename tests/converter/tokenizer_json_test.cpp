#include "converter/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/hash.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

SentencePieceModel small_model() {
  SentencePieceModel model;
  model.algorithm = SentencePieceAlgorithm::bpe;
  model.pieces = {{"<unk>", 0, PieceType::unknown}, {"<s>", 0, PieceType::control},
                  {"</s>", 0, PieceType::control},  {"aa", 0, PieceType::normal},
                  {"aaa", -1, PieceType::normal},   {"äa", -2, PieceType::normal},
                  {"a\"", -2, PieceType::normal},   {"a", -3, PieceType::normal},
                  {"\"", -4, PieceType::normal},    {"ä", -5, PieceType::normal}};
  return model;
}

TEST(TokenizerJson, is_the_published_file_of_llama) {
  GALATEA_SHARED_DATA_OR_SKIP(path, "tokenizer.model");
  const std::string text = tokenizer_json(read_sentencepiece_model(*open_file(path)));
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text))),
            "f9ffc4aede0845ab65324ce5dccb823dca2427f9a0710981e5bc2398d73d8162");
}

// The digest is that of what LlamaTokenizerFast of transformers 4.28.1 saves from a folder with this
// tokenizer.model and {"<pad>": 512, "<|user|>": 513} in added_tokens.json.
TEST(TokenizerJson, added_tokens_follow_the_special_ones) {
  const SentencePieceModel model =
      read_sentencepiece_model(*open_file(test::test_data("miniature/base-hf/tokenizer.model")));
  const std::string text = tokenizer_json(model, {{512, "<pad>", false}, {513, "<|user|>", false}});
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(text))),
            "71ccab4f17423d02bc2b160208cb51e88b942d475585672d2a20991f0467abd8");
  const nlohmann::json document = nlohmann::json::parse(tokenizer_json(model, {{512, "a\"", true}}));
  EXPECT_EQ(document["added_tokens"][3]["content"], "a\"");
  EXPECT_EQ(document["added_tokens"][3]["normalized"], false);
  EXPECT_EQ(document["added_tokens"][3]["special"], true);
}

TEST(TokenizerJson, merges_follow_score_then_ids_and_skip_score_zero) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merges;
  for (const BpeMerge& merge : merge_list(small_model())) merges.emplace_back(merge.left, merge.right);
  // "aa" has score 0 and none; "aaa" has two; of the two at -2 the smaller left id comes first.
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> expected = {{3, 7}, {7, 3}, {7, 8}, {9, 7}};
  EXPECT_EQ(merges, expected);
}

TEST(TokenizerJson, text_is_json_with_every_piece) {
  const SentencePieceModel model = small_model();
  const nlohmann::json document = nlohmann::json::parse(tokenizer_json(model));
  EXPECT_EQ(document["model"]["vocab"].size(), model.pieces.size());
  EXPECT_EQ(document["model"]["vocab"]["a\""], 6);
  EXPECT_EQ(document["model"]["merges"][2], "a \"");
  EXPECT_EQ(document["added_tokens"].size(), 3U);
}

TEST(TokenizerJson, a_vocabulary_without_merges_has_an_empty_list) {
  SentencePieceModel model = small_model();
  model.pieces.resize(4);
  EXPECT_NE(tokenizer_json(model).find("\"</s>\": 2,\n      \"aa\": 3\n    },\n    \"merges\": []\n  }\n}"),
            std::string::npos);
}

TEST(TokenizerJson, refuses_what_the_conversion_would_change) {
  SentencePieceModel unigram = small_model();
  unigram.algorithm = SentencePieceAlgorithm::unigram;
  EXPECT_THROW(tokenizer_json(unigram), Error);
  SentencePieceModel renamed = small_model();
  renamed.pieces[1].text = "[BOS]";
  test::expect_refused([&] { tokenizer_json(renamed); }, "[BOS]");
  SentencePieceModel empty = small_model();
  empty.pieces.resize(2);
  EXPECT_THROW(tokenizer_json(empty), Error);
}

}  // namespace
}  // namespace galatea
