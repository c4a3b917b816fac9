// A difference of two checkpoints as people and programs read it.
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "verify/diff.h"

namespace galatea {

struct DiffText {
  std::size_t top = 20;  ///< so many tensors that differ are shown, the worst first
  bool all = false;      ///< every tensor, those that are the same too
};

/// Fields of the configuration, then tensors: those that one side lacks and those of other shapes, then by the
/// RMS of the difference as a part of A's RMS, the worst first; a closing line of counts.
std::string diff_text(const DiffReport& report, const DiffOptions& options, const DiffText& how);

/// {"same", "tolerance", "relative", "counts": {STATUS: N}, "config": [{"field", "a", "b", "failed"}],
///  "tensors": [{"name", "status", "failed", "a": {"dtype", "shape"}, "b": {"dtype", "shape"}, "values",
///               "differing", "not_finite", "first", "max_abs", "rms", "relative", "cosine"}], "notes": [...]}
/// Every tensor, in the order of A. "first" is the index of the first differing value; numbers that are not
/// there (no value differs, a vector of zeros) are null.
nlohmann::json diff_json(const DiffReport& report, const DiffOptions& options);

}  // namespace galatea
