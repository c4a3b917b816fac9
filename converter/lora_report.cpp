#include "converter/lora_report.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "format/error.h"
#include "format/isa.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

constexpr std::size_t lanes = 8;

/// Sums in eight lanes, whose order is fixed: the same for every processor.
struct Changes {
  std::array<double, lanes> squares{};
  std::array<float, lanes> largest{};
  std::array<std::uint32_t, lanes> changed{}, underflowed{};
};

inline __attribute__((always_inline)) void see_change(const float* base, const float* before,
                                                      const float* after, std::size_t lane, Changes& sums) {
  const double change = double{after[lane]} - double{base[lane]};
  const auto size = static_cast<float>(__builtin_fabs(change));
  sums.squares[lane] += change * change;
  sums.largest[lane] = sums.largest[lane] < size ? size : sums.largest[lane];
  sums.changed[lane] += after[lane] != base[lane] ? 1U : 0U;
  sums.underflowed[lane] += (before[lane] != 0.0F ? 1U : 0U) & (after[lane] == 0.0F ? 1U : 0U);
}

void see_changes_scalar(const float* base, const float* before, const float* after, std::size_t count,
                        Changes& out) {
  Changes sums;
  const std::size_t whole = count - count % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) see_change(base + i, before + i, after + i, lane, sums);
  }
  for (std::size_t i = whole; i < count; ++i)
    see_change(base + whole, before + whole, after + whole, i - whole, sums);
  out = sums;
}

#if defined(__x86_64__)
/// Eight lanes at once; the same sums.
__attribute__((target("avx2"))) void see_changes_avx2(const float* base, const float* before,
                                                      const float* after, std::size_t count, Changes& out) {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
  __m256 largest = _mm256_setzero_ps();
  __m256i changed = _mm256_setzero_si256(), underflowed = _mm256_setzero_si256();
  const __m256 zero = _mm256_setzero_ps();
  const __m256d sign = _mm256_set1_pd(-0.0);
  const std::size_t whole = count - count % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    const __m256 from = _mm256_loadu_ps(base + i), to = _mm256_loadu_ps(after + i);
    const __m256d below = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(to)),
                                        _mm256_cvtps_pd(_mm256_castps256_ps128(from)));
    const __m256d above = _mm256_sub_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(to, 1)),
                                        _mm256_cvtps_pd(_mm256_extractf128_ps(from, 1)));
    low = _mm256_add_pd(low, _mm256_mul_pd(below, below));
    high = _mm256_add_pd(high, _mm256_mul_pd(above, above));
    const __m256 size = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_andnot_pd(sign, above)),
                                        _mm256_cvtpd_ps(_mm256_andnot_pd(sign, below)));
    largest = _mm256_max_ps(size, largest);  // of a NaN and a number the second, as in one lane
    const __m256 differs = _mm256_cmp_ps(to, from, _CMP_NEQ_UQ);
    const __m256 vanished = _mm256_and_ps(_mm256_cmp_ps(_mm256_loadu_ps(before + i), zero, _CMP_NEQ_UQ),
                                          _mm256_cmp_ps(to, zero, _CMP_EQ_OQ));
    changed = _mm256_sub_epi32(changed, _mm256_castps_si256(differs));
    underflowed = _mm256_sub_epi32(underflowed, _mm256_castps_si256(vanished));
  }
  Changes sums;
  _mm256_storeu_pd(sums.squares.data(), low);
  _mm256_storeu_pd(sums.squares.data() + 4, high);
  _mm256_storeu_ps(sums.largest.data(), largest);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.changed.data()), changed);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.underflowed.data()), underflowed);
  for (std::size_t i = whole; i < count; ++i)
    see_change(base + whole, before + whole, after + whole, i - whole, sums);
  out = sums;
}
#endif

ChangeCounter::Row compare(std::span<const float> base, std::span<const float> before,
                           std::span<const float> after) {
  Changes sums;
#if defined(__x86_64__)
  static const auto see = active_isa() >= Isa::avx2 ? see_changes_avx2 : see_changes_scalar;
#else
  constexpr auto see = see_changes_scalar;
#endif
  see(base.data(), before.data(), after.data(), after.size(), sums);
  ChangeCounter::Row row;
  row.seen = true;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    row.squares += sums.squares[lane];
    row.largest = std::max(row.largest, sums.largest[lane]);
    row.changed += sums.changed[lane];
    row.underflowed += sums.underflowed[lane];
  }
  return row;
}

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
    // Some rows after the other, so that all that is done with them happens in the cache; memory kept from call to
    // call, since fresh pages take longer than the sums.
    const std::uint64_t step = std::max<std::uint64_t>(1, values_at_once / cols());
    static thread_local std::vector<float> before, after, base;
    const bool rounded = counter_ && source_->type() != type();
    for (std::uint64_t row = 0; row < count; row += step) {
      const std::uint64_t some = std::min(step, count - row);
      const std::span<float> unrounded = rounded ? grown(before, some * cols()) : std::span<float>();
      const std::span<float> values = grown(after, some * cols());
      const std::span<std::byte> stored = out.subspan(static_cast<std::size_t>(row * row_bytes()),
                                                      static_cast<std::size_t>(some * row_bytes()));
      round_rows(first + row, some, unrounded, stored);
      type_info(type()).decode(stored.data(), values.data(), values.size());
      if (!all_finite(values)) refuse(first + row, values);
      if (!counter_) continue;
      const std::span<float> from = grown(base, some * cols());
      read_base(first + row, some, from);
      for (std::uint64_t r = 0; r < some; ++r) {
        const auto width = static_cast<std::size_t>(cols());
        const auto at = static_cast<std::size_t>(r) * width;
        const std::span<const float> written = values.subspan(at, width);
        counter_->row(first + row + r) =
            compare(from.subspan(at, width), rounded ? unrounded.subspan(at, width) : written, written);
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
  static constexpr std::uint64_t values_at_once = 131072;

  template <class Value>
  static std::span<Value> grown(std::vector<Value>& values, std::uint64_t count) {
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
    static thread_local std::vector<double> sums;
    const std::span<double> exact = grown(sums, before.size());
    source_->read(first, count, std::as_writable_bytes(exact));
    convert_plain(from, std::as_bytes(exact).data(), type(), out.data(), exact.size());
    std::transform(exact.begin(), exact.end(), before.begin(),
                   [](double x) { return static_cast<float>(x); });
  }

  static bool all_finite(std::span<const float> values) {
    unsigned bad = 0;
    for (const float value : values) bad |= std::fabs(value) <= std::numeric_limits<float>::max() ? 0U : 1U;
    return bad == 0;
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
