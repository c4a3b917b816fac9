#include "format/gguf_llama.h"

#include <gtest/gtest.h>

#include <limits>

#include <algorithm>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::TempFolder;
using test::write_bytes;

LlamaConfig small_config() {
  LlamaConfig config;
  config.vocab_size = 8;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.context = 512;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 20000.0;
  config.pad_id = -1;
  return config;
}

SentencePieceModel small_tokenizer() {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::unknown},
                  {"<s>", 0, PieceType::control},
                  {"</s>", 0, PieceType::control},
                  {"<0x0A>", 0, PieceType::byte},
                  {"\xE2\x96\x81t", -1.5F, PieceType::normal},
                  {"mine", -2, PieceType::user_defined}};
  model.algorithm = SentencePieceAlgorithm::bpe;
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  model.normalizer_name = "identity";
  return model;
}

/// A file of `metadata` and an output head (so that it is not tied), read back.
GgufFile file_of(const GgufMetadata& metadata, bool with_output = true) {
  std::vector<Tensor> tensors;
  const std::vector<float> values(4);
  if (with_output) tensors.push_back({"output.weight", {2, 2}, memory_rows(values, 2, 2), {}, 0});
  const FileLayout layout = gguf_layout("x.gguf", metadata, tensors);
  std::string bytes;
  stream_layout(layout, {}, [&](std::span<const std::byte> piece) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return GgufFile::read(memory_source(bytes, "x.gguf"));
}

GgufMetadata with(GgufMetadata metadata, const std::string& key, GgufValue value) {
  const auto place =
      std::find_if(metadata.begin(), metadata.end(), [&](const GgufEntry& e) { return e.key == key; });
  if (place == metadata.end()) {
    metadata.push_back({key, std::move(value)});
  } else {
    place->value = std::move(value);
  }
  return metadata;
}

void expect_refused(const GgufMetadata& metadata, const std::string& because) {
  test::expect_refused([&] { config_from_gguf(file_of(metadata)); }, because);
}

TEST(GgufLlama, metadata_has_the_keys_of_llama_cpp) {
  const std::vector<AddedToken> added = {{6, "<pad>", true}};
  GgufMetadata metadata = llama_gguf_metadata(small_config(), small_tokenizer(), added, "a name");
  set_gguf_file_type(metadata, DType::q4_1);
  const GgufFile file = file_of(metadata);
  EXPECT_EQ(*file.get_string("general.architecture"), "llama");
  EXPECT_EQ(*file.get_string("general.name"), "a name");
  EXPECT_EQ(file.get_unsigned("general.file_type"), 3U);
  EXPECT_EQ(file.get_unsigned("llama.rope.dimension_count"), 16U);
  EXPECT_EQ(file.get_unsigned("llama.attention.head_count_kv"), 2U);
  EXPECT_EQ(file.find("llama.attention.key_length"), nullptr);
  EXPECT_EQ(std::get<float>(*file.find("llama.attention.layer_norm_rms_epsilon")), 1e-5F);
  EXPECT_EQ(*file.get_string("tokenizer.ggml.model"), "llama");
  const std::vector<std::string>& tokens = *file.get_strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens, (std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x0A>", "\xE2\x96\x81t", "mine",
                                              "<pad>", "[PAD7]"}));
  EXPECT_EQ(file.get_integers("tokenizer.ggml.token_type"),
            (std::vector<std::int64_t>{2, 3, 3, 6, 1, 4, 3, 5}));
  EXPECT_EQ(file.get_numbers("tokenizer.ggml.scores"),
            (std::vector<double>{0, 0, 0, 0, -1.5, -2, -1000, -10000}));
  EXPECT_EQ(file.get_unsigned("tokenizer.ggml.bos_token_id"), 1U);
  EXPECT_EQ(file.find("tokenizer.ggml.padding_token_id"), nullptr);
  EXPECT_EQ(file.get_boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(file.get_boolean("tokenizer.ggml.add_eos_token"), false);
  EXPECT_EQ(file.find("tokenizer.ggml.add_space_prefix"), nullptr);
  EXPECT_EQ(file.get_unsigned("general.quantization_version"), 2U);
}

TEST(GgufLlama, configuration_and_vocabulary_come_back) {
  LlamaConfig config = small_config();
  config.vocab_size = 6;
  SentencePieceModel tokenizer = small_tokenizer();
  tokenizer.add_dummy_prefix = false;
  const GgufFile file = file_of(llama_gguf_metadata(config, tokenizer, {}, "n"));
  const LlamaConfig back = config_from_gguf(file);
  EXPECT_EQ(back.vocab_size, 6U);
  EXPECT_EQ(back.hidden_size, 64U);
  EXPECT_EQ(back.intermediate_size, 96U);
  EXPECT_EQ(back.layers, 2U);
  EXPECT_EQ(back.heads, 4U);
  EXPECT_EQ(back.kv_heads, 2U);
  EXPECT_EQ(back.head_dim, 16U);
  EXPECT_EQ(back.context, 512U);
  EXPECT_EQ(back.rms_norm_eps, 1e-5);
  EXPECT_EQ(back.rope_theta, 20000.0);
  EXPECT_FALSE(back.tied_embeddings);
  EXPECT_TRUE(config_from_gguf(file_of(file.metadata(), false)).tied_embeddings);
  const SentencePieceModel model = sentencepiece_from_gguf(file);
  ASSERT_EQ(model.pieces.size(), tokenizer.pieces.size());
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    EXPECT_EQ(model.pieces[i].text, tokenizer.pieces[i].text);
    EXPECT_EQ(model.pieces[i].score, tokenizer.pieces[i].score);
    EXPECT_EQ(model.pieces[i].type, tokenizer.pieces[i].type);
  }
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_TRUE(model.byte_fallback);
  EXPECT_EQ(model.algorithm, SentencePieceAlgorithm::bpe);
  EXPECT_EQ(model.pad_id, -1);

  config.head_dim = 32;
  EXPECT_EQ(config_from_gguf(file_of(llama_gguf_metadata(config, tokenizer, {}, "n"))).head_dim, 32U);
}

TEST(GgufLlama, the_tokenizer_comes_back_without_what_was_appended) {
  LlamaConfig config = small_config();
  config.vocab_size = 12;
  config.pad_id = 7;
  // Id 6 has no token: it stays as an unused piece, so that those behind it follow the pieces without a gap.
  const std::vector<AddedToken> added = {{7, "<pad>", false}, {8, "<|end|>", true}};
  const GgufTokenizer back =
      tokenizer_from_gguf(file_of(llama_gguf_metadata(config, small_tokenizer(), added, "n")));
  ASSERT_EQ(back.model.pieces.size(), 7U);
  EXPECT_EQ(back.model.pieces[5].text, "mine");
  EXPECT_EQ(back.model.pieces[6].type, PieceType::unused);
  ASSERT_EQ(back.added.size(), 2U);
  EXPECT_EQ(back.added[0].id, 7U);
  EXPECT_EQ(back.added[0].text, "<pad>");
  EXPECT_FALSE(back.added[0].special);
  EXPECT_TRUE(back.added[1].special);
  EXPECT_EQ(back.pad, "<pad>");
  EXPECT_EQ(back.bos, "<s>");
  EXPECT_EQ(back.model.pad_id, -1);
  EXPECT_EQ(back.model.bos_id, 1);
  const std::string bytes = write_sentencepiece_model(back.model);
  EXPECT_EQ(read_sentencepiece_model(*memory_source(bytes, "again")).pieces.size(), 7U);
}

TEST(GgufLlama, a_vocabulary_is_checked_like_a_tokenizer_model) {
  const GgufMetadata good = llama_gguf_metadata(small_config(), small_tokenizer(), {}, "n");
  const auto tokens = [&](const std::string& third) {
    std::vector<std::string> list = *file_of(good).get_strings("tokenizer.ggml.tokens");
    list[4] = third;
    return file_of(with(good, "tokenizer.ggml.tokens", GgufArray{std::move(list)}));
  };
  EXPECT_NO_THROW(sentencepiece_from_gguf(tokens("new")));
  for (const char* bad : {"", "</s>", "\xff"})
    EXPECT_THROW(sentencepiece_from_gguf(tokens(bad)), Error) << bad;
  EXPECT_THROW(sentencepiece_from_gguf(file_of(
                   with(good, "tokenizer.ggml.token_type", GgufArray{std::vector<std::int32_t>(8, 1)}))),
               Error);  // no unknown piece
  std::vector<float> scores(8);
  scores[4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(sentencepiece_from_gguf(file_of(with(good, "tokenizer.ggml.scores", GgufArray{scores}))),
               Error);
}

TEST(GgufLlama, linear_scaling_is_written_and_others_are_refused) {
  LlamaConfig config = small_config();
  config.rope_scaling = {.kind = RopeScaling::Kind::linear, .factor = 2.6};
  const LlamaConfig back = config_from_gguf(file_of(llama_gguf_metadata(config, small_tokenizer(), {}, "n")));
  EXPECT_EQ(back.rope_scaling.kind, RopeScaling::Kind::linear);
  EXPECT_EQ(back.rope_scaling.factor, 2.6);
  config.rope_scaling.kind = RopeScaling::Kind::dynamic;
  EXPECT_THROW(llama_gguf_metadata(config, small_tokenizer(), {}, "n"), Error);
  config.rope_scaling = {};
  config.sliding_window = 8;
  EXPECT_THROW(llama_gguf_metadata(config, small_tokenizer(), {}, "n"), Error);
}

TEST(GgufLlama, other_models_are_refused_by_name) {
  const GgufMetadata good = llama_gguf_metadata(small_config(), small_tokenizer(), {}, "n");
  EXPECT_NO_THROW(config_from_gguf(file_of(good)));
  expect_refused(with(good, "general.architecture", std::string("falcon")), "falcon");
  expect_refused(with(good, "llama.expert_count", std::uint32_t{8}), "experts");
  expect_refused(with(good, "llama.rope.scaling.type", std::string("yarn")), "rotary");
  expect_refused(with(good, "llama.rope.dimension_count", std::uint32_t{8}), "part of each head");
  expect_refused(with(good, "llama.attention.head_count", std::uint32_t{0}), "head");
  expect_refused(with(good, "llama.block_count", std::string("two")), "llama.block_count");
  expect_refused({}, "architecture");
  expect_refused({{"general.architecture", std::string("llama")}}, "llama.block_count");
  EXPECT_THROW(sentencepiece_from_gguf(file_of({})), Error);
  EXPECT_THROW(sentencepiece_from_gguf(file_of(with(good, "tokenizer.ggml.model", std::string("gpt2")))),
               Error);
  EXPECT_THROW(
      sentencepiece_from_gguf(file_of(with(good, "tokenizer.ggml.scores", GgufArray{std::vector<float>(3)}))),
      Error);
  EXPECT_THROW(sentencepiece_from_gguf(file_of(with(good, "tokenizer.ggml.bos_token_id", std::uint32_t{8}))),
               Error);
  EXPECT_EQ(
      sentencepiece_from_gguf(file_of(with(good, "tokenizer.ggml.padding_token_id", UINT32_MAX))).pad_id, -1);
}

TEST(GgufLlama, a_tokenizer_that_does_not_fit_is_refused) {
  LlamaConfig config = small_config();
  config.vocab_size = 5;
  EXPECT_THROW(llama_gguf_metadata(config, small_tokenizer(), {}, "n"), Error);
  EXPECT_THROW(llama_gguf_metadata(small_config(), small_tokenizer(), {{8, "<pad>", true}}, "n"), Error);
}

TEST(GgufLlama, added_tokens_are_read_in_both_forms) {
  TempFolder folder;
  EXPECT_TRUE(read_added_tokens(folder.path()).empty());
  write_bytes(folder / "added_tokens.json", R"({"<pad>": 32000, "<|user|>": 32001})");
  ASSERT_EQ(read_added_tokens(folder.path()).size(), 2U);
  EXPECT_EQ(read_added_tokens(folder.path())[1].text, "<|user|>");
  write_bytes(
      folder / "tokenizer_config.json",
      R"({"added_tokens_decoder": {"32000": {"content": "<pad>", "special": true}}, "add_bos_token": true})");
  EXPECT_TRUE(read_added_tokens(folder.path())[0].special);
  for (const char* bad :
       {R"([1])", R"({"a": -1})", R"({"a": "b"})", R"({"": 3})", R"({"a": 99999999999})", "{"}) {
    write_bytes(folder / "added_tokens.json", bad);
    EXPECT_THROW(read_added_tokens(folder.path()), Error) << bad;
  }
  write_bytes(folder / "added_tokens.json", "{}");
  for (const char* bad :
       {R"({"added_tokens_decoder": []})", R"({"added_tokens_decoder": {"x": {"content": "a"}}})",
        R"({"added_tokens_decoder": {"1": {}}})", R"({"added_tokens_decoder": {"1": "a"}})"}) {
    write_bytes(folder / "tokenizer_config.json", bad);
    EXPECT_THROW(read_added_tokens(folder.path()), Error) << bad;
  }
}

}  // namespace
}  // namespace galatea
