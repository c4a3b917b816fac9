#include "eval/html_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/score.h"
#include "format/error.h"

namespace galatea {
namespace {

using nlohmann::json;

json run_of(const std::string& model, double shift, double bytes) {
  PerplexityResult result;
  result.protocol = "gptq";
  result.precision = "f32";
  result.stream_sha256 = std::string(64, 'b');
  result.context = 16;
  result.tokens = 16 * 5;
  result.windows = 5;
  for (int i = 0; i < 5; ++i) result.window_losses.push_back(1.5 + 0.1 * i + shift);
  result.window_squares.assign(5, 3);
  result.window_scored.assign(5, 15);
  finish(result);
  json out = to_json(result);
  out["model"] = model;
  out["model_bytes"] = bytes;
  out["data"] = "wikitext2";
  return out;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(HtmlReport, ShowsEveryRunAndLoadsNothing) {
  std::vector<json> runs = {run_of("models/base", 0, 26e9), run_of("q4.gguf", 0.01, 7.9e9)};
  runs[1]["expected"] = runs[0].at("perplexity");
  runs[1]["expected_from"] = "base.json";
  runs[1]["relative_difference"] = 0.01;
  runs[1]["standard_errors"] = 9.5;
  runs[1]["passed"] = false;
  const std::string page = html_report(runs);
  EXPECT_EQ(count(page, "<tr>"), 3U);
  EXPECT_EQ(count(page, "<polyline"), 2U) << "a curve a run";
  EXPECT_EQ(count(page, "<circle"), 2U) << "a dot a run, against its size";
  EXPECT_EQ(count(page, "class=\"fail\""), 1U);
  EXPECT_NE(page.find("+9.50"), std::string::npos);
  for (const char* loads : {"http", "<script", "<link", "url(", "<img", "@import"})
    EXPECT_EQ(page.find(loads), std::string::npos) << loads;
  EXPECT_EQ(count(html_report(std::span(runs).first(1)), "<circle"), 0U) << "one size is no curve";
}

TEST(HtmlReport, NamesAreTextAndNothingElse) {
  json run = run_of("<script>alert(1)</script>", 0, 0);
  run["data"] = "<b>";
  run["expected"] = "5";
  run["expected_from"] = json::array();
  run["passed"] = 1;
  run["kl_divergence"] = "none";
  const std::string page = html_report(std::vector<json>{run});
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_THROW(html_report(std::vector<json>{json::object()}), Error);
}

TEST(HtmlReport, ImpossibleNumbersDrawNothing) {
  json run = run_of("m", 2000, 5);
  const std::string page = html_report(std::vector<json>{run, run});
  EXPECT_EQ(page.find("inf,"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace galatea
