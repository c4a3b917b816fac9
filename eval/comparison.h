// A score beside the one it should be: a published value, or an earlier run over the same windows.
//
// Two runs over the same windows differ far less than windows differ from each other, so their losses are compared
// window by window: the standard error of the mean difference is what tells a regression from chance. That of one
// run alone (tens of times larger) is the text's doing.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "eval/score.h"

namespace galatea {

struct Comparison {
  double expected = 0, found = 0;  ///< perplexities
  std::string source;              ///< who says what is expected
  double change = 0;               ///< found / expected - 1
  double tolerance = 0;            ///< of `change`
  bool paired = false;             ///< window by window; then only a worse score fails
  double standard_error = 0;       ///< of `change`; of a published value, as if it had none itself
  double unpaired_error = 0;       ///< of `change`, were the two runs over different texts
  bool passed = false;

  /// `change` in standard errors; 0 when there is none to tell by.
  double sigmas() const { return standard_error > 0 ? change / standard_error : 0; }
};

/// Passes when found is within `tolerance` of the value, relative.
Comparison compare_with_value(const PerplexityResult& found, double expected, std::string source,
                              double tolerance);

/// Passes unless found is worse by more than `tolerance`, relative. Throws Error(input) when the runs are not over
/// the same windows by the same protocol.
Comparison compare_with_run(const PerplexityResult& found, const PerplexityResult& earlier,
                            std::string source, double tolerance);

nlohmann::json to_json(const Comparison& comparison);

}  // namespace galatea
