// Float64 judges every precision: the table of README is what this test prints when it is run by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "eval/forward.h"
#include "format/checkpoint.h"
#include "tests/eval/reference_forward.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

/// How far the logits are off, relative to the largest, and the loss of the next tokens.
struct Deviation {
  double logits = 0, rms = 0, perplexity = 0;
};

double loss(const std::vector<test::Vector>& logits, const std::vector<std::int32_t>& tokens) {
  double sum = 0;
  for (std::size_t p = 0; p + 1 < tokens.size(); ++p) {
    const double largest = *std::max_element(logits[p].begin(), logits[p].end());
    double total = 0;
    for (const double logit : logits[p]) total += std::exp(logit - largest);
    sum += std::log(total) + largest - logits[p][static_cast<std::size_t>(tokens[p + 1])];
  }
  return sum / static_cast<double>(tokens.size() - 1);
}

Deviation deviation(const LlamaModel& model, const std::vector<std::int32_t>& tokens,
                    const std::vector<test::Vector>& expected, Isa isa, Precision precision) {
  std::vector<test::Vector> found(tokens.size());
  ForwardOptions options;
  options.threads = 2;
  options.isa = isa;
  options.precision = precision;
  forward(model, tokens, tokens.size(), 0, options,
          [&](std::uint64_t, std::uint64_t position, std::span<const float> logits) {
            found[position].assign(logits.begin(), logits.end());
          });
  Deviation out;
  double largest = 0;
  double squares = 0;
  double true_squares = 0;
  for (std::size_t p = 0; p < tokens.size(); ++p) {
    for (std::size_t v = 0; v < expected[p].size(); ++v) {
      const double off = std::fabs(found[p][v] - expected[p][v]);
      out.logits = std::max(out.logits, off);
      largest = std::max(largest, std::fabs(expected[p][v]));
      squares += off * off;
      true_squares += expected[p][v] * expected[p][v];
    }
  }
  out.logits /= largest;
  out.rms = std::sqrt(squares / true_squares);
  out.perplexity = std::fabs(std::exp(loss(found, tokens) - loss(expected, tokens)) - 1);
  return out;
}

void judge(const std::string& name, const LlamaModel& model, const std::vector<std::int32_t>& tokens) {
  const std::vector<test::Vector> expected = test::reference_logits(model, tokens);
  struct Bound {
    Precision precision;
    double logits, perplexity;
  };
  for (const Isa isa : available_isas()) {
    for (const Bound& bound : {Bound{Precision::f32, 2e-6, 2e-7}, Bound{Precision::exact, 5e-5, 5e-6},
                               Bound{Precision::fast, 3e-2, 3e-3}}) {
      if (precision_on(isa, bound.precision) != bound.precision) continue;
      const Deviation found = deviation(model, tokens, expected, isa, bound.precision);
      std::printf("%-12s %-12s %-6s logits %.1e at most, %.1e RMS; perplexity %.1e\n", name.c_str(),
                  std::string(to_string(isa)).c_str(), std::string(to_string(bound.precision)).c_str(),
                  found.logits, found.rms, found.perplexity);
      EXPECT_LT(found.logits, bound.logits) << name << " " << to_string(isa);
      EXPECT_LT(found.perplexity, bound.perplexity) << name << " " << to_string(isa);
      EXPECT_GT(found.logits, 0) << "float64 is computed apart";
    }
  }
}

TEST(Precision, OfTheMiniatureAgainstFloat64) {
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_bytes(test::test_data("miniature/golden/logits.json")));
  auto tokens = golden.at("ids").get<std::vector<std::int32_t>>();
  tokens.resize(std::min<std::size_t>(tokens.size(), 160));
  judge("miniature", load_model(Checkpoint::open(test::test_data("miniature/base-hf"))), tokens);
}

TEST(Precision, OfStories260KAgainstFloat64) {
  GALATEA_SHARED_DATA_OR_SKIP(weights, "stories260K.bin");
  GALATEA_SHARED_DATA_OR_SKIP(greedy, "stories260K.greedy.txt");
  const std::string text = test::read_bytes(greedy);
  std::vector<std::int32_t> tokens = {1};
  std::istringstream numbers(text.substr(text.find(" : ") + 3));
  for (std::int32_t id = 0; tokens.size() < 160 && numbers >> id;) tokens.push_back(id);
  judge("stories260K", load_model(Checkpoint::open(weights)), tokens);
}

}  // namespace
}  // namespace galatea
