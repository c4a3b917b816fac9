// What differs between two checkpoints of any two containers.
//
// Tensors are laid side by side under the names and in the layout of common_tensors.h; values of different
// types are compared as float32 (float64 where one of the types needs it), quantized ones decoded. See
// diff_values.h for what equal means. Memory is bounded by a few MiB a thread (at least one row of both);
// the numbers are the same for any number of threads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "format/progress.h"
#include "format/tensor.h"
#include "verify/diff_values.h"

namespace galatea {

enum class DiffStatus {
  same,        ///< type, shape and every value
  other_type,  ///< every value, in another type
  within,      ///< values differ, by no more than the tolerance
  differs,     ///< values differ by more
  shape,       ///< other shapes; values are compared over the rows that both have, if only those differ
  only_a,
  only_b,
};
std::string_view to_string(DiffStatus status);

struct TensorDiff {
  std::string name;
  DiffStatus status = DiffStatus::same;
  std::string type_a, type_b;  ///< empty on the side that lacks the tensor
  Shape shape_a, shape_b;
  DiffSums sums;  ///< of the values compared; a2, b2, ab are only filled where something differs
  /// differs, shape, only_a, only_b; but not rotary tables that one side lacks (is_rotary_table).
  bool failed = false;

  /// RMS of the difference as a part of A's RMS; infinite when A has only zeros and B has not.
  double relative() const;
};

/// A field of the two configurations, as text.
struct ConfigDiff {
  std::string field, a, b;
  /// False for what does not enter the computation: context, ids of special tokens, tied embeddings.
  bool failed = false;
};

struct DiffOptions {
  /// A tensor differs when a value differs by more than this: |a - b| > tolerance. With 0 any differing value
  /// counts, also -0 against +0. A NaN or infinity on one side only is beyond any tolerance.
  double tolerance = 0;
  /// The tolerance is for the RMS of a - b as a part of the RMS of a instead.
  bool relative = false;
  Progress* progress = nullptr;
  int threads = 0;  ///< 0: as many as OpenMP would take
};

struct DiffReport {
  std::vector<TensorDiff> tensors;  ///< in the order of A's, then those that only B has
  std::vector<ConfigDiff> config;   ///< of the fields that differ; empty when one side has no configuration
  std::vector<std::string> notes;

  std::size_t count(DiffStatus status) const;
  /// No tensor and no field failed, and at least one tensor was compared.
  bool same() const;
};

/// Names are unique on each side; tensors of one name are a pair.
std::vector<TensorDiff> diff_tensors(std::span<const Tensor> a, std::span<const Tensor> b,
                                     const DiffOptions& options = {});

DiffReport diff_checkpoints(const Checkpoint& a, const Checkpoint& b, const DiffOptions& options = {});

}  // namespace galatea
