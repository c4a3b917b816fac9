#include "converter/lora_report.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
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
    // Kept from call to call: fresh pages for every chunk take longer than the sums.
    static thread_local std::vector<float> before;
    const bool rounded = counter_ && source_->type() != type();
    const std::span<float> unrounded = rounded ? grown(before, count * cols()) : std::span<float>();
    round_rows(first, count, unrounded, out);
    // Some rows after the other, so that they stay in the cache.
    const std::uint64_t step = std::max<std::uint64_t>(1, values_at_once / cols());
    std::vector<float> after(static_cast<std::size_t>(std::min(step, count) * cols()));
    std::vector<float> base(counter_ ? after.size() : 0);
    for (std::uint64_t row = 0; row < count; row += step) {
      const std::uint64_t some = std::min(step, count - row);
      const std::span<float> values = std::span(after).first(static_cast<std::size_t>(some * cols()));
      type_info(type()).decode(out.data() + row * row_bytes(), values.data(), values.size());
      if (!all_finite(values)) refuse(first + row, values);
      if (!counter_) continue;
      read_base(first + row, some, base);
      for (std::uint64_t r = 0; r < some; ++r) {
        const auto width = static_cast<std::size_t>(cols());
        const auto at = static_cast<std::size_t>(r) * width;
        const std::span<const float> written = values.subspan(at, width);
        counter_->row(first + row + r) = compare(
            std::span(base).subspan(at, width),
            rounded ? unrounded.subspan(static_cast<std::size_t>((row + r) * cols()), width) : written,
            written);
      }
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
  static constexpr std::uint64_t values_at_once = 65536;

  static std::span<float> grown(std::vector<float>& values, std::uint64_t count) {
    if (values.size() < count) values.resize(static_cast<std::size_t>(count));
    return std::span(values).first(static_cast<std::size_t>(count));
  }

  /// The base's rows, zeros for those that it does not have.
  void read_base(std::uint64_t first, std::uint64_t count, std::span<float> out) const {
    const std::uint64_t there = base_ && first < base_->rows() ? std::min(count, base_->rows() - first) : 0;
    const auto values = static_cast<std::size_t>(there * cols());
    if (there > 0) base_->read_f32(first, there, out.first(values));
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(values), out.end(), 0.0F);
  }

  /// The rows in their last type and, when `before` is not empty and another type was rounded, as they were: the
  /// source computes them once only.
  void round_rows(std::uint64_t first, std::uint64_t count, std::span<float> before,
                  std::span<std::byte> out) const {
    const DType from = source_->type();
    if (before.empty()) return cast_->read(first, count, out);
    if (from != DType::f64) {
      source_->read_f32(first, count, before);
      type_info(type()).encode(before.data(), out.data(), before.size());
      return;
    }
    std::vector<double> exact(before.size());
    source_->read(first, count, std::as_writable_bytes(std::span(exact)));
    convert_plain(from, std::as_bytes(std::span(exact)).data(), type(), out.data(), exact.size());
    std::transform(exact.begin(), exact.end(), before.begin(),
                   [](double x) { return static_cast<float>(x); });
  }

  static bool all_finite(std::span<const float> values) {
    unsigned bad = 0;
    for (const float value : values) bad |= std::fabs(value) <= std::numeric_limits<float>::max() ? 0U : 1U;
    return bad == 0;
  }

  /// In eight lanes, whose order is fixed.
  static ChangeCounter::Row compare(std::span<const float> base, std::span<const float> before,
                                    std::span<const float> after) {
    constexpr std::size_t lanes = 8;
    std::array<double, lanes> squares{};
    std::array<float, lanes> largest{};
    std::array<std::uint32_t, lanes> changed{}, underflowed{};
    const auto see = [&](std::size_t i, std::size_t lane) {
      const double change = double{after[i]} - double{base[i]};
      const auto size = static_cast<float>(std::fabs(change));
      squares[lane] += change * change;
      largest[lane] = largest[lane] < size ? size : largest[lane];
      changed[lane] += after[i] != base[i] ? 1U : 0U;
      underflowed[lane] += (before[i] != 0.0F ? 1U : 0U) & (after[i] == 0.0F ? 1U : 0U);
    };
    const std::size_t whole = after.size() - after.size() % lanes;
    for (std::size_t i = 0; i < whole; i += lanes) {
      for (std::size_t lane = 0; lane < lanes; ++lane) see(i + lane, lane);
    }
    for (std::size_t i = whole; i < after.size(); ++i) see(i, i - whole);
    ChangeCounter::Row row;
    row.seen = true;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      row.squares += squares[lane];
      row.largest = std::max(row.largest, largest[lane]);
      row.changed += changed[lane];
      row.underflowed += underflowed[lane];
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
