// What a merge did to each tensor, counted while it is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/rows.h"

namespace galatea {

/// Of the values as they are written, against those of the base.
struct ChangeSummary {
  double norm = 0;                ///< sqrt of the sum of squares of the changes
  double largest = 0;             ///< of the absolute changes
  std::uint64_t changed = 0;      ///< values that differ from the base's
  std::uint64_t underflowed = 0;  ///< not zero before the last rounding, zero after
  bool complete = true;           ///< every row was seen; not so for rows that an interrupted run had written
};

/// Row by row, so that the sums do not depend on threads or on how rows were asked for.
class ChangeCounter {
 public:
  explicit ChangeCounter(std::uint64_t rows) : rows_(static_cast<std::size_t>(rows)) {}
  ChangeSummary summary() const;
  /// The rows [first, first + count) as bytes, and back; see Rows::tally.
  std::string tally(std::uint64_t first, std::uint64_t count) const;
  void restore(std::string_view tally);

  struct Row {
    double squares = 0;
    float largest = 0;
    std::uint32_t changed = 0, underflowed = 0;
    bool seen = false;
  };
  Row& row(std::uint64_t index) { return rows_[static_cast<std::size_t>(index)]; }

 private:
  std::vector<Row> rows_;
};

/// `source` rounded to `type` (a plain one), every value checked: reading a value that is infinite or NaN throws
/// Error(input) that names the tensor and says whether the base had it already. With a counter the change against
/// `base` is noted in it; rows that `base` (nullptr: none) does not have count as changes from zero.
RowsPtr watched_rows(RowsPtr source, RowsPtr base, DType type, std::string name,
                     std::shared_ptr<ChangeCounter> counter);

}  // namespace galatea
