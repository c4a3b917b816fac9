// What the divergences at all predictions come to.
//
// Error bars are one standard error of a mean over predictions, taken as independent. With d the change of the true
// token's probability, the RMS is sqrt(mean d^2), its error that of the mean of d^2 divided by 2 RMS.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/kl_base.h"

namespace galatea {

/// A value and its standard error.
struct Estimate {
  double value = 0, error = 0;
};

struct KlSummary {
  std::uint64_t count = 0;
  Estimate mean;
  double mean_most = 0;  ///< the mean can be at most this, the base's tail being kept as a sum
  double median = 0, least = 0, largest = 0;
  std::vector<std::pair<double, double>> percentiles;  ///< percent and value
  Estimate same_top;                                   ///< share of predictions
  Estimate change;                                     ///< mean change of the true token's probability
  Estimate rms_change;
  Estimate log_ratio;  ///< mean of (loss - base's loss): ln(perplexity / base's perplexity)
  double base_perplexity = 0;
};

/// Precondition: `terms` is not empty.
KlSummary summarise(std::span<const KlTerm> terms);

nlohmann::json to_json(const KlSummary& summary);

}  // namespace galatea
