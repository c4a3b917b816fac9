#include "eval/forward.h"

#include <gtest/gtest.h>
#include <filesystem>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "format/checkpoint.h"
#include "format/error.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;

/// Logits of every position, window after window.
std::vector<float> all_logits(const LlamaModel& model, std::span<const std::int32_t> tokens,
                              std::uint64_t length, const ForwardOptions& options) {
  const std::uint64_t vocab = model.config.vocab_size;
  std::vector<float> out(tokens.size() * vocab, NAN);
  forward(model, tokens, length, 0, options,
          [&](std::uint64_t window, std::uint64_t position, std::span<const float> logits) {
            std::copy(logits.begin(), logits.end(),
                      out.begin() + static_cast<std::ptrdiff_t>((window * length + position) * vocab));
          });
  return out;
}

TEST(Forward, LogitsOfTransformersForTheMiniature) {
  const json golden = json::parse(test::read_bytes(test::test_data("miniature/golden/logits.json")));
  const auto tokens = golden.at("ids").get<std::vector<std::int32_t>>();
  const auto positions = golden.at("positions").get<std::vector<std::size_t>>();
  const std::string bytes = test::read_bytes(test::test_data("miniature/golden/logits.base.f32"));
  std::vector<float> expected(bytes.size() / 4);
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  ASSERT_EQ(expected.size(), positions.size() * 512);
  for (const char* folder : {"miniature/base-hf", "miniature/meta"}) {
    const Checkpoint checkpoint = Checkpoint::open(test::test_data(folder));
    const LlamaModel model = load_model(checkpoint);
    const std::vector<float> logits = all_logits(model, tokens, tokens.size(), {});
    float worst = 0;
    for (std::size_t i = 0; i < positions.size(); ++i) {
      for (std::size_t v = 0; v < 512; ++v)
        worst = std::max(worst, std::fabs(logits[positions[i] * 512 + v] - expected[i * 512 + v]));
    }
    EXPECT_LT(worst, 1e-4F) << folder;
  }
}

TEST(Forward, SameBitsForAnyThreadsBatchAndInstructions) {
  const LlamaModel model = load_model(Checkpoint::open(test::test_data("miniature/base-hf")));
  std::vector<std::int32_t> tokens(3 * 20);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>((i * 37 + 5) % 512);
  ForwardOptions options;
  options.threads = 1;
  const std::vector<float> expected = all_logits(model, tokens, 20, options);
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 2, 3}) {
      options.isa = isa;
      options.threads = threads;
      EXPECT_EQ(all_logits(model, tokens, 20, options), expected) << to_string(isa) << " " << threads;
    }
  }
  const std::vector<float> alone = all_logits(model, std::span(tokens).subspan(20, 20), 20, {});
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), expected.begin() + 20 * 512));
}

TEST(Forward, GreedyTokensOfStories260K) {
  GALATEA_SHARED_DATA_OR_SKIP(weights, "stories260K.bin");
  GALATEA_SHARED_DATA_OR_SKIP(greedy, "stories260K.greedy.txt");
  std::string text = test::read_bytes(greedy);
  std::istringstream numbers(text.substr(text.find(" : ") + 3));
  std::vector<std::int32_t> expected{std::istream_iterator<std::int32_t>(numbers), {}};
  ASSERT_EQ(expected.size(), 255U);

  const LlamaModel model = load_model(Checkpoint::open(weights));
  std::vector<std::int32_t> tokens = {1};
  tokens.insert(tokens.end(), expected.begin(), expected.end());
  tokens.pop_back();
  // With the expected tokens as context every position must choose the expected next one: by induction the
  // same as generating them one by one.
  const std::vector<float> logits = all_logits(model, tokens, tokens.size(), {});
  double sum = 0;
  for (std::size_t i = 0; i < 255; ++i) {
    const auto row = std::span(logits).subspan(i * 512, 512);
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), expected[i]) << i;
    sum += log_probability(row, expected[i]);
  }
  EXPECT_NEAR(sum / 255, -0.455787627359, 1e-5);
  EXPECT_NEAR(std::exp(log_probability(std::span(logits).first(512), expected[0])), 0.783688681, 1e-5);
}

TEST(Forward, TokensOutsideOfTheVocabularyAreRefused) {
  const LlamaModel model = load_model(Checkpoint::open(test::test_data("miniature/base-hf")));
  for (const std::int32_t token : {-1, 512, INT32_MAX}) {
    const std::vector<std::int32_t> tokens = {1, token};
    EXPECT_THROW(all_logits(model, tokens, 2, {}), Error);
  }
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  EXPECT_THROW(all_logits(model, tokens, 2, {}), Error);
}

/// The logits that transformers computes in float32 for tiny models of the family.
TEST(Forward, ModelsOfTheFamilyAsTransformersComputesThem) {
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_bytes(test::test_data("models/logits.json")));
  const auto ids = golden.at("ids").get<std::vector<std::int32_t>>();
  const auto positions = golden.at("positions").get<std::vector<std::uint64_t>>();
  for (const auto& item : golden.at("cases").items()) {
    const std::string& name = item.key();
    const nlohmann::json& expected = item.value();
    const test::TempFolder folder;
    std::filesystem::copy(test::test_data("models/weights.safetensors"), folder / "model.safetensors");
    std::filesystem::copy(test::test_data("models/" + name + ".config.json"), folder / "config.json");
    const LlamaModel model = load_model(Checkpoint::open(folder.path()));
    double worst = 0;
    forward(model, ids, ids.size(), 0, {.threads = 1},
            [&](std::uint64_t, std::uint64_t position, std::span<const float> logits) {
              for (std::size_t i = 0; i < positions.size(); ++i) {
                for (std::size_t v = 0; positions[i] == position && v < logits.size(); ++v) {
                  worst = std::max(worst,
                                   std::fabs(static_cast<double>(logits[v]) - expected[i][v].get<double>()));
                }
              }
            });
    EXPECT_LT(worst, 2e-5) << name;
  }
}

}  // namespace
}  // namespace galatea
