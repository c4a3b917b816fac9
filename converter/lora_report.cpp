#include "converter/lora_report.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

class WatchedRows final : public Rows {
 public:
  WatchedRows(RowsPtr source, RowsPtr base, DType type, std::string name,
              std::shared_ptr<ChangeCounter> counter)
      : Rows(type, source->rows(), source->cols()),
        source_(std::move(source)),
        base_(std::move(base)),
        cast_(cast_rows(source_, type)),
        name_(std::move(name)),
        counter_(std::move(counter)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (count == 0 || cols() == 0) return;
    const auto elements = static_cast<std::size_t>(count * cols());
    std::vector<float> after(elements);
    cast_->read(first, count, out);
    type_info(type()).decode(out.data(), after.data(), elements);
    const bool finite =
        std::all_of(after.begin(), after.end(), [](float value) { return std::isfinite(value); });
    if (!finite) refuse(first, after);
    if (!counter_) return;
    std::vector<float> before(elements);
    std::vector<float> base(elements, 0.0F);
    if (source_->type() != type()) {
      source_->read_f32(first, count, before);
    } else {
      before = after;
    }
    if (base_ && first < base_->rows())
      base_->read_f32(
          first, std::min(count, base_->rows() - first),
          std::span(base).first(static_cast<std::size_t>(std::min(count, base_->rows() - first) * cols())));
    for (std::uint64_t r = 0; r < count; ++r) {
      const auto at = static_cast<std::size_t>(r * cols());
      const auto width = static_cast<std::size_t>(cols());
      counter_->row(first + r) =
          compare(std::span(base).subspan(at, width), std::span(before).subspan(at, width),
                  std::span(after).subspan(at, width));
    }
  }

 private:
  static ChangeCounter::Row compare(std::span<const float> base, std::span<const float> before,
                                    std::span<const float> after) {
    ChangeCounter::Row row;
    row.seen = true;
    for (std::size_t i = 0; i < after.size(); ++i) {
      const double change = double{after[i]} - double{base[i]};
      row.squares += change * change;
      row.largest = std::max(row.largest, static_cast<float>(std::fabs(change)));
      row.changed += change != 0 ? 1U : 0U;
      row.underflowed += before[i] != 0.0F && after[i] == 0.0F ? 1U : 0U;
    }
    return row;
  }

  [[noreturn]] void refuse(std::uint64_t first, std::span<const float> values) const {
    const auto bad = static_cast<std::uint64_t>(
        std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); }) -
        values.begin());
    const std::uint64_t row = first + bad / cols();
    std::vector<float> there(static_cast<std::size_t>(cols()));
    std::string why = " of the merged weights";
    if (base_ && row < base_->rows()) {
      base_->read_f32(row, 1, there);
      if (!std::isfinite(there[bad % cols()])) why = ", which the base has already";
    }
    source_->read_f32(row, 1, there);
    if (std::isfinite(there[bad % cols()]))
      why = ": " + std::to_string(there[bad % cols()]) + " is beyond the range of the type";
    throw Error(ErrorKind::input, "the merge gives values that are not finite")
        .tensor(name_)
        .expected("finite values in " + std::string(type_info(type()).name))
        .found(std::string(std::isnan(values[bad]) ? "NaN" : "infinity") + " at row " + std::to_string(row) +
               ", column " + std::to_string(bad % cols()) + why)
        .remedy("base or adapter is damaged, or the type too narrow: --dtype F32 tells which");
  }

  RowsPtr source_, base_, cast_;
  std::string name_;
  std::shared_ptr<ChangeCounter> counter_;
};

}  // namespace

ChangeSummary ChangeCounter::summary() const {
  ChangeSummary out;
  double squares = 0;
  for (const Row& row : rows_) {
    squares += row.squares;
    out.largest = std::max(out.largest, double{row.largest});
    out.changed += row.changed;
    out.complete = out.complete && row.seen;
    out.underflowed += row.underflowed;
  }
  out.norm = std::sqrt(squares);
  return out;
}

RowsPtr watched_rows(RowsPtr source, RowsPtr base, DType type, std::string name,
                     std::shared_ptr<ChangeCounter> counter) {
  return std::make_shared<WatchedRows>(std::move(source), std::move(base), type, std::move(name),
                                       std::move(counter));
}

}  // namespace galatea
