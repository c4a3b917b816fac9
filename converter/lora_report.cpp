#include "converter/lora_report.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "format/error.h"
#include "format/little_endian.h"

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

  std::string tally(std::uint64_t first, std::uint64_t count) const override {
    return counter_ ? counter_->tally(first, count) : std::string();
  }
  void restore_tally(std::string_view tally) const override {
    if (!counter_) return Rows::restore_tally(tally);
    counter_->restore(tally);
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

std::string ChangeCounter::tally(std::uint64_t first, std::uint64_t count) const {
  std::vector<std::byte> bytes;
  append_little_endian(bytes, first, 8);
  for (std::uint64_t index = first; index < first + count; ++index) {
    const Row& row = rows_.at(static_cast<std::size_t>(index));
    append_little_endian(bytes, std::bit_cast<std::uint64_t>(row.squares), 8);
    append_little_endian(bytes, std::bit_cast<std::uint32_t>(row.largest), 4);
    append_little_endian(bytes, row.changed, 4);
    append_little_endian(bytes, row.underflowed, 4);
    append_little_endian(bytes, row.seen ? 1 : 0, 4);
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void ChangeCounter::restore(std::string_view tally) {
  constexpr std::size_t width = 24;
  const LittleEndian numbers(std::as_bytes(std::span(tally)));
  const std::uint64_t first = numbers.u64(0);
  const std::size_t count = tally.size() / width;
  if (tally.size() != count * width + 8 || first > rows_.size() || count > rows_.size() - first)
    throw Error(ErrorKind::input, "the journal holds a tally of other rows");
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = 8 + i * width;
    row(first + i) = {std::bit_cast<double>(numbers.u64(at)), std::bit_cast<float>(numbers.u32(at + 8)),
                      numbers.u32(at + 12), numbers.u32(at + 16), numbers.u32(at + 20) != 0};
  }
}

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
