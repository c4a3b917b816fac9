#include "eval/kl_summary.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace galatea {
namespace {

constexpr double shown[] = {0.1, 1, 5, 10, 25, 75, 90, 95, 99, 99.9};

template <class Value>
Estimate estimate(std::span<const KlTerm> terms, const Value& value) {
  const auto count = static_cast<double>(terms.size());
  double sum = 0;
  for (const KlTerm& term : terms) sum += value(term);
  const double mean = sum / count;
  double squares = 0;
  for (const KlTerm& term : terms) squares += (value(term) - mean) * (value(term) - mean);
  return {mean, terms.size() < 2 ? 0 : std::sqrt(squares / (count - 1) / count)};
}

/// Between the two neighbours in proportion, as numpy's percentile.
double percentile(std::span<const float> sorted, double percent) {
  const double place = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = place - static_cast<double>(below);
  return (1 - share) * static_cast<double>(sorted[below]) + share * static_cast<double>(sorted[above]);
}

double change_of(const KlTerm& term) {
  return std::exp(-static_cast<double>(term.loss)) - std::exp(-static_cast<double>(term.base_loss));
}

}  // namespace

KlSummary summarise(std::span<const KlTerm> terms) {
  KlSummary out;
  out.count = terms.size();
  out.mean = estimate(terms, [](const KlTerm& term) { return static_cast<double>(term.divergence); });
  out.mean_most = estimate(terms, [](const KlTerm& term) { return static_cast<double>(term.most); }).value;
  out.same_top = estimate(terms, [](const KlTerm& term) { return term.same_top ? 1.0 : 0.0; });
  out.change = estimate(terms, change_of);
  const Estimate square = estimate(terms, [](const KlTerm& term) { return std::pow(change_of(term), 2); });
  out.rms_change.value = std::sqrt(square.value);
  if (out.rms_change.value > 0) out.rms_change.error = square.error / (2 * out.rms_change.value);
  out.log_ratio = estimate(terms, [](const KlTerm& term) {
    return static_cast<double>(term.loss) - static_cast<double>(term.base_loss);
  });
  out.base_perplexity =
      std::exp(estimate(terms, [](const KlTerm& term) { return static_cast<double>(term.base_loss); }).value);
  std::vector<float> sorted;
  sorted.reserve(terms.size());
  for (const KlTerm& term : terms) sorted.push_back(term.divergence);
  std::sort(sorted.begin(), sorted.end());
  out.least = static_cast<double>(sorted.front());
  out.largest = static_cast<double>(sorted.back());
  out.median = percentile(sorted, 50);
  for (const double percent : shown) out.percentiles.emplace_back(percent, percentile(sorted, percent));
  return out;
}

nlohmann::json to_json(const KlSummary& summary) {
  const auto with_error = [](const Estimate& estimate) {
    return nlohmann::json{{"value", estimate.value}, {"standard_error", estimate.error}};
  };
  nlohmann::json percentiles = nlohmann::json::array();
  for (const auto& [percent, value] : summary.percentiles)
    percentiles.push_back({{"percent", percent}, {"value", value}});
  return {{"count", summary.count},
          {"mean", with_error(summary.mean)},
          {"mean_at_most", summary.mean_most},
          {"median", summary.median},
          {"minimum", summary.least},
          {"maximum", summary.largest},
          {"percentiles", percentiles},
          {"same_top", with_error(summary.same_top)},
          {"probability_change", with_error(summary.change)},
          {"rms_probability_change", with_error(summary.rms_change)},
          {"log_perplexity_ratio", with_error(summary.log_ratio)},
          {"base_perplexity", summary.base_perplexity}};
}

}  // namespace galatea
