#include "eval/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "eval/junit.h"
#include "eval/perplexity.h"
#include "format/error.h"
#include "tests/eval/random_model.h"

namespace galatea {
namespace {

PerplexityResult run_of(std::vector<double> losses) {
  PerplexityResult out;
  out.protocol = "gptq";
  out.precision = "f32";
  out.context = 2048;
  out.tokens = 2048 * losses.size();
  out.windows = losses.size();
  for (const double loss : losses) out.window_squares.push_back(2 * loss * loss);
  out.window_scored.assign(losses.size(), 2047);
  out.window_losses = std::move(losses);
  finish(out);
  return out;
}

/// Losses of 166 windows spread as those of wikitext2 are, and the same model 0.1 % worse, not equally everywhere.
TEST(Comparison, PairedRunsShowOneInAThousand) {
  std::mt19937 random(3);
  std::normal_distribution<double> text(1.66, 0.2);
  std::normal_distribution<double> damage(0.001, 0.002);
  std::vector<double> losses, worse;
  for (int i = 0; i < 166; ++i) {
    losses.push_back(text(random));
    worse.push_back(losses.back() + damage(random));
  }
  const PerplexityResult before = run_of(losses);
  const PerplexityResult after = run_of(worse);
  const Comparison found = compare_with_run(after, before, "before.json", 5e-4);
  EXPECT_NEAR(found.change, 0.001, 3e-4);
  EXPECT_LT(found.change, found.unpaired_error / 10) << "what two runs tell by themselves: nothing";
  EXPECT_GT(found.sigmas(), 5) << "what they tell together";
  EXPECT_FALSE(found.passed);
  EXPECT_TRUE(compare_with_run(before, after, "after.json", 5e-4).passed) << "better is no regression";
  EXPECT_TRUE(compare_with_run(before, before, "itself", 0).passed);
  EXPECT_EQ(compare_with_run(before, before, "itself", 0).sigmas(), 0);
}

/// A model whose weights were damaged a little, scored on random text.
TEST(Comparison, DamagedWeightsShowThoughTheErrorBarHidesThem) {
  const LlamaModel model = test::random_model(test::small_config(), test::random_matrices(11));
  LlamaModel damaged = model;
  std::vector<float> values(model.output->rows() * model.output->cols());
  model.output->read_f32(0, model.output->rows(), values);
  for (float& value : values) value *= 1.0007F;
  damaged.output = memory_rows(values, model.output->rows(), model.output->cols());
  TokenStream stream;
  std::mt19937 random(5);
  for (int i = 0; i < 60 * 20; ++i) stream.ids.push_back(static_cast<std::int32_t>(random() % 53));
  PerplexityOptions options;
  options.context = 20;
  const PerplexityResult before = perplexity(model, stream, options);
  const PerplexityResult after = perplexity(damaged, stream, options);
  const Comparison found = compare_with_run(after, before, "before", 5e-4);
  EXPECT_GT(found.change, 5e-4);
  EXPECT_LT(found.change, 5e-3);
  EXPECT_GT(found.unpaired_error, 5 * found.change) << "hidden";
  EXPECT_GT(found.sigmas(), 5) << "shown";
  EXPECT_FALSE(found.passed);
}

TEST(Comparison, OtherWindowsCannotBeCompared) {
  const PerplexityResult run = run_of({1, 2, 3});
  const auto refused = [&](auto change) {
    PerplexityResult other = run;
    change(other);
    EXPECT_THROW(compare_with_run(run, other, "other", 0), Error);
  };
  refused([](PerplexityResult& r) { r.stream_sha256 = "another"; });
  refused([](PerplexityResult& r) { r.protocol = "llama.cpp"; });
  refused([](PerplexityResult& r) { r.context = 512; });
  refused([](PerplexityResult& r) { r.first_window = 1; });
  refused([](PerplexityResult& r) { r.window_losses.pop_back(); });
}

TEST(Comparison, PublishedValuesAreMetWithinTheTolerance) {
  const PerplexityResult run = run_of({1.6, 1.7, 1.62});
  EXPECT_TRUE(compare_with_value(run, run.perplexity * 1.0009, "card", 1e-3).passed);
  EXPECT_FALSE(compare_with_value(run, run.perplexity * 1.002, "card", 1e-3).passed);
  EXPECT_FALSE(compare_with_value(run, run.perplexity * 0.998, "card", 1e-3).passed) << "better is wrong too";
  const Comparison off = compare_with_value(run, run.perplexity - run.standard_error, "card", 1e-3);
  EXPECT_NEAR(off.sigmas(), 1, 1e-9);
}

TEST(JUnit, IsWellFormedWhateverTheNamesAre) {
  const std::vector<JUnitCase> cases = {{"wikitext2", 1.5, "", "5.25"},
                                        {"a<b>&\"'\x01\xFF", 0.25, "expected <5>", ""}};
  const std::string xml = junit_xml("galatea & co", cases);
  EXPECT_EQ(
      xml,
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
      "  <testsuite name=\"galatea &amp; co\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" "
      "time=\"1.750\">\n"
      "    <testcase classname=\"galatea &amp; co\" name=\"wikitext2\" time=\"1.500\">\n"
      "      <system-out>5.25</system-out>\n    </testcase>\n"
      "    <testcase classname=\"galatea &amp; co\" name=\"a&lt;b&gt;&amp;&quot;&#39;??\" time=\"0.250\">\n"
      "      <failure message=\"expected &lt;5&gt;\" type=\"perplexity\"/>\n    </testcase>\n"
      "  </testsuite>\n</testsuites>\n");
}

}  // namespace
}  // namespace galatea
