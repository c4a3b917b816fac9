#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "eval/wikitext_articles.h"
#include "format/checkpoint.h"
#include "format/dtype.h"
#include "format/error.h"
#include "tests/eval/random_model.h"
#include "tests/eval/reference_forward.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;
using test::random_model;
using test::small_config;
using test::test_data;

TokenStream random_stream(std::size_t count, std::uint64_t vocabulary) {
  std::mt19937 random(5);
  TokenStream stream;
  for (std::size_t i = 0; i < count; ++i)
    stream.ids.push_back(static_cast<std::int32_t>(random() % vocabulary));
  stream.sha256 = "of the stream";
  return stream;
}

/// Bounds the difference of float32 logits from float64 ones for a model of random weights: a few units in
/// the last place of the largest logit for each of its sums.
TEST(Reference, LogitsInFloat64) {
  for (const bool tied : {false, true}) {
    LlamaConfig config = small_config();
    config.tied_embeddings = tied;
    const LlamaModel model = random_model(config, test::random_matrices(tied ? 1 : 2));
    const std::vector<std::int32_t> tokens = random_stream(40, config.vocab_size).ids;
    const std::vector<test::Vector> expected = test::reference_logits(model, tokens);
    double worst = 0;
    double largest = 0;
    forward(model, tokens, tokens.size(), 0, {.threads = 1},
            [&](std::uint64_t, std::uint64_t position, std::span<const float> logits) {
              for (std::size_t v = 0; v < logits.size(); ++v) {
                worst = std::max(worst, std::fabs(static_cast<double>(logits[v]) - expected[position][v]));
                largest = std::max(largest, std::fabs(expected[position][v]));
              }
            });
    EXPECT_GT(largest, 1) << "the logits are not all alike";
    EXPECT_LT(worst, 2e-6 * largest);
    EXPECT_GT(worst, 0) << "float32 is not float64";
  }
}

/// Each stored type is decoded to the same float32 values wherever it is multiplied.
TEST(Reference, QuantizedWeightsCountAsWhatTheyDecodeTo) {
  LlamaConfig config = small_config();
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.head_dim = 32;
  config.heads = 4;
  const DType types[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0,
                         DType::q5_1, DType::f16,  DType::bf16};
  for (const DType type : types) {
    std::vector<std::vector<float>> decoded;
    std::mt19937 random(7);
    const auto quantized = [&](std::uint64_t rows, std::uint64_t cols) -> RowsPtr {
      if (cols == 1) return memory_rows(std::vector<float>(rows, 1.0F), rows, 1);
      const TypeInfo& info = type_info(type);
      std::vector<std::byte> bytes(info.bytes_for(rows * cols));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
      // Every two bytes that may be a float16 or bfloat16 are made one near 0.01.
      const std::uint16_t scale = type == DType::bf16 ? f32_to_bf16(0.01F) : f32_to_f16(0.01F);
      const std::uint64_t step = info.quantized() ? info.block_bytes : 2;
      for (std::uint64_t at = 0; at < bytes.size(); at += step) {
        bytes[at + 1] = static_cast<std::byte>(scale >> 8U);
        if (type == DType::q4_1 || type == DType::q5_1) bytes[at + 3] = static_cast<std::byte>(scale >> 8U);
      }
      return memory_rows(std::move(bytes), type, rows, cols);
    };
    const LlamaModel model = random_model(config, quantized);
    LlamaModel plain = model;
    const auto decode = [](RowsPtr& rows) {
      std::vector<float> values(rows->rows() * rows->cols());
      rows->read_f32(0, rows->rows(), values);
      rows = memory_rows(values, rows->rows(), rows->cols());
    };
    decode(plain.embedding);
    decode(plain.output);
    for (LlamaLayer& layer : plain.layers) {
      for (RowsPtr* rows : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
        decode(*rows);
    }
    const TokenStream stream = random_stream(60, config.vocab_size);
    PerplexityOptions options;
    options.context = 30;
    const PerplexityResult found = perplexity(model, stream, options);
    EXPECT_TRUE(std::isfinite(found.perplexity));
    EXPECT_EQ(found.window_losses, perplexity(plain, stream, options).window_losses) << type_info(type).name;
  }
}

TEST(Perplexity, IsTheMeanOverWindowsOfTheFloat64Losses) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(3));
  const TokenStream stream = random_stream(3 * 16 + 15, 53);
  PerplexityOptions options;
  options.context = 16;
  const PerplexityResult found = perplexity(model, stream, options);
  EXPECT_EQ(found.protocol, "gptq");
  EXPECT_EQ(found.stream_sha256, "of the stream");
  EXPECT_EQ(found.tokens, 63U);
  EXPECT_EQ(found.windows, 3U);
  EXPECT_EQ(found.scored, 45U);
  ASSERT_EQ(found.window_losses.size(), 3U);
  std::vector<double> losses;
  for (std::size_t w = 0; w < 3; ++w) {
    const auto window = std::span(stream.ids).subspan(w * 16, 16);
    const std::vector<test::Vector> logits = test::reference_logits(model, window);
    double loss = 0;
    for (std::size_t p = 0; p < 15; ++p) {
      double sum = 0;
      for (const double logit : logits[p]) sum += std::exp(logit);
      loss += std::log(sum) - logits[p][static_cast<std::size_t>(window[p + 1])];
    }
    losses.push_back(loss / 15);
    EXPECT_NEAR(found.window_losses[w], losses[w], 1e-6);
  }
  const double mean = (losses[0] + losses[1] + losses[2]) / 3;
  EXPECT_NEAR(found.perplexity, std::exp(mean), 1e-5 * found.perplexity);
  const double variance =
      (std::pow(losses[0] - mean, 2) + std::pow(losses[1] - mean, 2) + std::pow(losses[2] - mean, 2)) / 2;
  EXPECT_NEAR(found.standard_error, std::exp(mean) * std::sqrt(variance / 3), 1e-4 * found.standard_error);
}

TEST(Perplexity, ProtocolsAsTransformersComputesThem) {
  const json golden = json::parse(test::read_bytes(test_data("perplexity/protocols.json")));
  const LlamaModel model = load_model(Checkpoint::open(test_data("miniature/base-hf")));
  TokenStream stream;
  stream.ids = golden.at("ids").get<std::vector<std::int32_t>>();
  for (const auto& [name, expected] : golden.at("scores").items()) {
    PerplexityOptions options;
    options.protocol = &find_protocol(name);
    options.context = golden.at("ctx").get<std::uint64_t>();
    const PerplexityResult found = perplexity(model, stream, options);
    EXPECT_EQ(found.scored, expected.at("scored").get<std::uint64_t>()) << name;
    const double score = expected.at("perplexity").get<double>();
    EXPECT_NEAR(found.perplexity, score, 1e-5 * score) << name;
    const double error = expected.at("standard_error").get<double>();
    EXPECT_NEAR(found.standard_error, error, 1e-4 * error) << name;
  }
  EXPECT_EQ(find_protocol("llama.cpp").first_position(2048), 1024U);
  EXPECT_EQ(find_protocol("autogptq").first_position(2048), 512U);
  EXPECT_EQ(find_protocol("gptq").first_position(2048), 0U);
  EXPECT_THROW(find_protocol("other"), Error);
}

TEST(Perplexity, StridedRowsAndArticlesAsTransformersComputesThem) {
  const json golden = json::parse(test::read_bytes(test_data("perplexity/protocols.json")));
  const Checkpoint checkpoint = Checkpoint::open(test_data("miniature/base-hf"));
  const LlamaModel model = load_model(checkpoint);
  const Tokenizer tokenizer = open_tokenizer(checkpoint);
  const auto near = [](const PerplexityResult& found, const json& expected) {
    EXPECT_EQ(found.scored, expected.at("scored").get<std::uint64_t>()) << found.protocol;
    const double score = expected.at("perplexity").get<double>();
    EXPECT_NEAR(found.perplexity, score, 1e-5 * score) << found.protocol;
  };
  PerplexityOptions options;
  options.context = golden.at("ctx").get<std::uint64_t>();

  const json& strided = golden.at("strided");
  TokenStream stream;
  stream.ids = golden.at("ids").get<std::vector<std::int32_t>>();
  stream.ids.resize(strided.at("tokens").get<std::size_t>());
  options.protocol = &find_protocol("llama.cpp-stride");
  options.stride = strided.at("stride").get<std::uint64_t>();
  near(perplexity(model, stream, options), strided);
  options.stride = options.context;
  EXPECT_THROW(perplexity(model, stream, options), Error);
  options.stride = 0;

  const json& rows = golden.at("rows");
  options.protocol = &find_protocol("exllamav2");
  const std::filesystem::path wiki = test_data("miniature/corpora/wiki.test.raw");
  Corpus corpus = read_corpus(corpus_kind("wikitext2"), wiki, options.protocol->text);
  corpus.piece_ends.resize(rows.at("rows").get<std::size_t>());
  stream = tokenize(corpus, tokenizer, options.context);
  EXPECT_EQ(stream.ids, rows.at("ids").get<std::vector<std::int32_t>>());
  near(perplexity(model, stream, options), rows);

  const json& articles = golden.at("articles");
  options.protocol = &find_protocol("lm-eval");
  corpus = read_corpus(corpus_kind("wikitext2"), wiki, options.protocol->text);
  EXPECT_EQ(corpus.piece_ends.size(), articles.at("pages").get<std::size_t>());
  EXPECT_EQ(corpus.words, articles.at("words").get<std::uint64_t>());
  EXPECT_EQ(corpus.bytes, articles.at("bytes").get<std::uint64_t>());
  stream = tokenize(corpus, tokenizer, options.context);
  const PerplexityResult found = perplexity(model, stream, options);
  near(found, articles);
  const double bits = articles.at("bits_per_byte").get<double>();
  EXPECT_NEAR(found.bits_per_byte, bits, 1e-5 * bits);
  EXPECT_THROW(read_corpus(corpus_kind("ptb"), wiki, options.protocol->text), Error);

  for (const json& pair : golden.at("unspaced"))
    EXPECT_EQ(wikitext_unspaced(pair.at(0).get<std::string>()), pair.at(1).get<std::string>());
}

TEST(TokenStream, WindowsOfC4AreDrawnAsPythonDrawsThem) {
  const json golden = json::parse(test::read_bytes(test_data("perplexity/protocols.json"))).at("drawn");
  const Tokenizer tokenizer = open_tokenizer(test_data("miniature/base-hf"));
  const Corpus corpus = read_corpus(corpus_kind("c4"), test_data("miniature/corpora/c4-validation.jsonl"));
  const auto context = golden.at("ctx").get<std::uint64_t>();
  const TokenStream stream = tokenize(corpus, tokenizer, context);
  EXPECT_EQ(stream.ids.size(), 256 * context);
  EXPECT_EQ(stream.sha256, golden.at("sha256").get<std::string>());
  EXPECT_THROW(tokenize(corpus, tokenizer, 100'000), Error) << "no document is as long";
}

TEST(Perplexity, Float16LossesAreRounded) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(3));
  const TokenStream stream = random_stream(4 * 16, 53);
  PerplexityOptions options;
  options.context = 16;
  const PerplexityResult plain = perplexity(model, stream, options);
  options.fp16_loss = true;
  const PerplexityResult found = perplexity(model, stream, options);
  for (std::size_t w = 0; w < 4; ++w) {
    const auto loss = static_cast<float>(found.window_losses[w]);
    EXPECT_EQ(f16_to_f32(f32_to_f16(loss)), loss) << "a float16";
    EXPECT_NEAR(found.window_losses[w], plain.window_losses[w], 0.01);
    EXPECT_NE(found.window_losses[w], plain.window_losses[w]);
  }
  // The sum over windows of loss * ctx is a whole number of float16 steps, as in published runs.
  const double total = std::log(found.perplexity) * 4 * 16;
  EXPECT_NEAR(total / (16 * 0x1p-9), std::round(total / (16 * 0x1p-9)), 1e-2);
}

TEST(Perplexity, PartsCombineToTheBitsOfTheWhole) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(6));
  TokenStream stream = random_stream(9 * 20 + 3, 53);
  stream.document_ends = {25, 26, 90, 183};
  stream.text_bytes = 700;
  stream.text_words = 160;
  for (const Protocol& protocol : protocols()) {
    PerplexityOptions options;
    options.protocol = &protocol;
    options.context = 20;
    const PerplexityResult whole = perplexity(model, stream, options);
    EXPECT_TRUE(whole.whole());
    std::vector<PerplexityResult> parts;
    for (const WindowRange range : {WindowRange{4, whole.windows}, {0, 1}, {1, 4}}) {
      options.windows = range;
      options.forward.threads = static_cast<int>(range.end % 3 + 1);
      const PerplexityResult part = perplexity(model, stream, options);
      EXPECT_FALSE(part.whole());
      parts.push_back(perplexity_from_json(json::parse(to_json(part).dump())));
    }
    const PerplexityResult found = combine(parts);
    EXPECT_EQ(found.window_losses, whole.window_losses) << protocol.name;
    EXPECT_EQ(found.perplexity, whole.perplexity) << protocol.name;
    EXPECT_EQ(found.standard_error, whole.standard_error) << protocol.name;
    EXPECT_EQ(found.scored, whole.scored);
    EXPECT_EQ(found.bits_per_byte, whole.bits_per_byte);

    const auto refused = [&](const std::vector<PerplexityResult>& given) {
      EXPECT_THROW(combine(given), Error);
    };
    refused({});
    refused({parts[0], parts[1]});  // a gap
    refused({parts[1], parts[2]});  // the end is missing
    refused({parts[0], parts[2]});  // the beginning is missing
    refused({parts[0], parts[1], parts[2], parts[2]});
    for (int change = 0; change < 4; ++change) {
      std::vector<PerplexityResult> other = parts;
      if (change == 0) other[1].stream_sha256 = "another";
      if (change == 1) other[1].precision = "fast";
      if (change == 2) other[1].protocol = protocol.name == "gptq" ? "llama.cpp" : "gptq";
      if (change == 3) other[1].context = 21;
      refused(other);
    }
  }
  PerplexityOptions options;
  options.context = 20;
  for (const WindowRange range : {WindowRange{3, 3}, {0, 10}, {9, 12}}) {
    options.windows = range;
    EXPECT_THROW(perplexity(model, stream, options), Error);
  }
}

TEST(Perplexity, OnlyItsOwnResultsAreRead) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(6));
  PerplexityOptions options;
  options.context = 20;
  const json good = to_json(perplexity(model, random_stream(60, 53), options));
  EXPECT_NO_THROW(perplexity_from_json(good));
  for (const auto& [key, value] : good.items()) {
    if (key == "perplexity" || key == "standard_error" || key == "scored_tokens") continue;
    json bad = good;
    bad.erase(key);
    EXPECT_THROW(perplexity_from_json(bad), Error) << key;
    bad[key] = json::object();
    EXPECT_THROW(perplexity_from_json(bad), Error) << key;
  }
  json bad = good;
  bad["first_window"] = 1;
  EXPECT_THROW(perplexity_from_json(bad), Error);
  bad["first_window"] = ~std::uint64_t{0};
  EXPECT_THROW(perplexity_from_json(bad), Error);
  bad = good;
  bad["windows"] = 4;
  EXPECT_THROW(perplexity_from_json(bad), Error);
  EXPECT_THROW(perplexity_from_json(json::array()), Error);
}

TEST(Perplexity, SameBitsForAnyBatchAndThreads) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(4));
  const TokenStream stream = random_stream(7 * 20, 53);
  PerplexityOptions options;
  options.context = 20;
  options.forward.threads = 1;
  const PerplexityResult expected = perplexity(model, stream, options);
  for (const std::uint64_t windows : {1U, 2U, 3U, 6U}) {
    for (const int threads : {1, 2, 3}) {
      options.max_memory = forward_bytes(model.config, 20 * windows, 20, threads);
      options.forward.threads = threads;
      const PerplexityResult found = perplexity(model, stream, options);
      EXPECT_EQ(found.window_losses, expected.window_losses)
          << windows << " windows, " << threads << " threads";
      EXPECT_EQ(found.perplexity, expected.perplexity);
    }
  }
}

TEST(Perplexity, TooLittleMemoryForAWindowIsRefused) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(4));
  PerplexityOptions options;
  options.context = 20;
  options.forward.threads = 2;
  options.max_memory = forward_bytes(model.config, 20, 20, 2) - 1;
  EXPECT_THROW(perplexity(model, random_stream(40, 53), options), Error);
  ++options.max_memory;
  EXPECT_EQ(perplexity(model, random_stream(40, 53), options).window_losses.size(), 2U);
}

TEST(Perplexity, WhatCannotBeScoredIsRefused) {
  LlamaModel model = random_model(small_config(), test::random_matrices(4));
  const auto kind_of = [&](std::size_t tokens, std::uint64_t context, std::int32_t last) {
    TokenStream stream = random_stream(tokens, 53);
    stream.ids.back() = last;
    PerplexityOptions options;
    options.context = context;
    try {
      perplexity(model, stream, options);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind{0};
  };
  EXPECT_EQ(kind_of(20, 20, 0), ErrorKind{0});
  EXPECT_EQ(kind_of(19, 20, 0), ErrorKind::input) << "shorter than a window";
  EXPECT_EQ(kind_of(20, 1, 0), ErrorKind::usage);
  EXPECT_EQ(kind_of(20, 20, 53), ErrorKind::input);
  EXPECT_EQ(kind_of(39, 20, 53), ErrorKind::input) << "in the remainder too: the tokenizer is wrong";
  EXPECT_EQ(kind_of(20, 20, -1), ErrorKind::input);
  model.final_norm[3] = NAN;
  EXPECT_EQ(kind_of(20, 20, 0), ErrorKind::input);
}

/// Counts what is reported and asks to stop after so many tokens.
class Watch final : public Progress {
 public:
  explicit Watch(std::uint64_t stop_after) : stop_after_(stop_after) {}
  void begin(std::string_view, std::uint64_t total, std::string_view unit) override {
    total_ = total;
    unit_ = unit;
  }
  void advance(std::uint64_t units) override { done_ += units; }
  void end() override { ended_ = true; }
  void note(std::string_view) override {}
  bool stop_requested() const override { return done_ >= stop_after_; }

  std::uint64_t stop_after_, total_ = 0, done_ = 0;
  std::string unit_;
  bool ended_ = false;
};

TEST(Perplexity, ReportsTokensAndStopsWhenAsked) {
  const LlamaModel model = random_model(small_config(), test::random_matrices(4));
  const TokenStream stream = random_stream(5 * 20, 53);
  PerplexityOptions options;
  options.context = 20;
  options.max_memory = forward_bytes(model.config, 20, 20, 0);  // a window at a time
  Watch whole(1000);
  options.forward.progress = &whole;
  perplexity(model, stream, options);
  EXPECT_EQ(whole.total_, 100U);
  EXPECT_EQ(whole.done_, 100U);
  EXPECT_EQ(whole.unit_, "tok");
  EXPECT_TRUE(whole.ended_);
  Watch stopped(30);
  options.forward.progress = &stopped;
  test::expect_error(ErrorKind::system, [&] { perplexity(model, stream, options); });
  EXPECT_LT(stopped.done_, 45U);
}

/// The score that transformers computed in float32, window after window, for the miniature's base.
TEST(Perplexity, ScoreOfTheMiniatureByTransformers) {
  const json release = json::parse(test::read_bytes(test_data("miniature/release.json")));
  const Checkpoint checkpoint = Checkpoint::open(test_data("miniature/base-hf"));
  const Tokenizer tokenizer = open_tokenizer(checkpoint);
  const std::uint64_t context = release.at("base_scores").at("ctx").get<std::uint64_t>();
  const std::pair<const char*, const char*> corpora[] = {{"wikitext2", "wiki.test.raw"},
                                                         {"ptb", "ptb.valid.txt"},
                                                         {"c4-new", "c4-validation.jsonl"},
                                                         {"ptb-new", "ptb.test.txt"}};
  TokenStream stream;
  for (const auto& [data, file] : corpora) {
    const json& expected = release.at("streams").at(data);
    stream =
        tokenize(read_corpus(corpus_kind(data), test_data("miniature/corpora") / file), tokenizer, context);
    EXPECT_EQ(stream.ids.size(), expected.at("tokens").get<std::size_t>()) << data;
    EXPECT_EQ(stream.sha256, expected.at("sha256").get<std::string>()) << data;
  }
  PerplexityOptions options;
  options.context = context;
  const PerplexityResult found = perplexity(load_model(checkpoint), stream, options);
  const double score = release.at("base_scores").at("ptb-new").get<double>();
  EXPECT_EQ(found.windows, release.at("streams").at("ptb-new").at("windows").get<std::uint64_t>());
  EXPECT_NEAR(found.perplexity, score, 1e-5 * score);
}

TEST(TokenStream, IdsAreWrittenAndReadBack) {
  const test::TempFolder folder;
  TokenStream stream;
  stream.ids = {1, 0, 255, 256, 31999};
  write_file(ids_layout(stream, "ids.i32"), folder / "ids.i32", {});
  EXPECT_EQ(test::read_bytes(folder / "ids.i32"),
            std::string("\1\0\0\0\0\0\0\0\xFF\0\0\0\0\1\0\0\xFF\x7C\0\0", 20));
  EXPECT_EQ(read_ids(folder / "ids.i32").ids, stream.ids);
  test::write_bytes(folder / "short", std::string(7, '\0'));
  EXPECT_THROW(read_ids(folder / "short"), Error);
  test::write_bytes(folder / "negative", std::string(4, '\0') + std::string(4, '\xFF'));
  const Error error = test::error_of([&] { read_ids(folder / "negative"); });
  EXPECT_EQ(error.byte(), 4U);
}

}  // namespace
}  // namespace galatea
