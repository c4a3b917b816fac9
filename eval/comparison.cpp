#include "eval/comparison.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/error.h"

namespace galatea {

Comparison compare_with_value(const PerplexityResult& found, double expected, std::string source,
                              double tolerance) {
  Comparison out;
  out.expected = expected;
  out.found = found.perplexity;
  out.source = std::move(source);
  out.change = found.perplexity / expected - 1;
  out.tolerance = tolerance;
  out.standard_error = out.unpaired_error = found.standard_error / expected;
  out.passed = std::fabs(out.change) <= tolerance;
  return out;
}

Comparison compare_with_run(const PerplexityResult& found, const PerplexityResult& earlier,
                            std::string source, double tolerance) {
  const auto same = [&](const char* what, const std::string& expected, const std::string& here) {
    if (expected == here) return;
    throw Error(ErrorKind::input, std::string("the earlier run is of another ") + what)
        .file(source)
        .expected(expected)
        .found(here)
        .remedy("compare runs over the same text, tokenizer, --protocol, --ctx and --windows");
  };
  same("protocol", earlier.protocol, found.protocol);
  same("context", std::to_string(earlier.context), std::to_string(found.context));
  same("stride", std::to_string(earlier.stride), std::to_string(found.stride));
  same("stream of tokens", earlier.stream_sha256, found.stream_sha256);
  same("first window", std::to_string(earlier.first_window), std::to_string(found.first_window));
  same("number of windows", std::to_string(earlier.window_losses.size()),
       std::to_string(found.window_losses.size()));

  Comparison out;
  out.paired = true;
  out.expected = earlier.perplexity;
  out.found = found.perplexity;
  out.source = std::move(source);
  out.tolerance = tolerance;
  const std::size_t count = found.window_losses.size();
  double weight = 0;
  double mean = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto scored = static_cast<double>(found.window_scored[i]);
    mean += scored * (found.window_losses[i] - earlier.window_losses[i]);
    weight += scored;
  }
  mean /= weight;
  double squares = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double share = static_cast<double>(found.window_scored[i]) * static_cast<double>(count) / weight;
    const double off = share * (found.window_losses[i] - earlier.window_losses[i] - mean);
    squares += off * off;
  }
  const auto n = static_cast<double>(count);
  out.change = found.perplexity / earlier.perplexity - 1;
  if (count > 1) out.standard_error = (1 + out.change) * std::sqrt(squares / (n - 1) / n);
  out.unpaired_error = std::hypot(found.standard_error, earlier.standard_error) / earlier.perplexity;
  out.passed = out.change <= tolerance;
  return out;
}

nlohmann::json to_json(const Comparison& comparison) {
  nlohmann::json out = {{"expected", comparison.expected},          {"expected_from", comparison.source},
                        {"relative_difference", comparison.change}, {"standard_errors", comparison.sigmas()},
                        {"tolerance", comparison.tolerance},        {"passed", comparison.passed}};
  if (comparison.paired) {
    out["paired_standard_error"] = comparison.standard_error;
    out["unpaired_standard_error"] = comparison.unpaired_error;
  }
  return out;
}

}  // namespace galatea
