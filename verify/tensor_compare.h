// Tensors against a list of their digests: which are the same, which differ, which are missing or more.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/progress.h"
#include "format/tensor.h"
#include "verify/tensor_digest.h"

namespace galatea {

enum class TensorStatus {
  same,        ///< type, shape and values
  other_type,  ///< the same values exactly, in another type
  differs,     ///< other values
  shape,       ///< another shape
  missing,     ///< listed, but not there
  extra,       ///< there, but not listed
};
std::string_view to_string(TensorStatus status);

struct TensorCheck {
  std::string name;
  TensorStatus status = TensorStatus::same;
  std::string expected, found;  ///< "F16 [4096, 4096] 78ca..."; empty on the side that lacks the tensor
  /// differs, shape, missing and extra; but not rotary tables that one side lacks (is_rotary_table).
  bool failed = false;
};

struct TensorReport {
  std::vector<TensorCheck> tensors;  ///< in the order of `wanted`, extras last
  std::size_t count(TensorStatus status) const;
  /// None failed, and at least one has the values that are wanted.
  bool passed() const;
};

/// `digests` are those of `tensors`. A tensor whose type is not the wanted one is read once more, to see
/// whether its values are the same.
TensorReport compare_tensors(std::span<const Tensor> tensors, std::span<const TensorDigest> digests,
                             std::span<const TensorDigest> wanted, Progress& progress = silent_progress(),
                             int threads = 0);

/// One line for each tensor that is not the same and a closing line of counts.
std::string tensor_report_text(const TensorReport& report);
/// {"passed", "counts": {STATUS: N}, "tensors": [{"name", "status", "failed", "expected", "found"}]}
nlohmann::json tensor_report_json(const TensorReport& report);
/// {"weights", "tensors": [{"name", "dtype", "shape", "sha256"}]}
nlohmann::json tensor_list_json(std::span<const TensorDigest> digests);

}  // namespace galatea
