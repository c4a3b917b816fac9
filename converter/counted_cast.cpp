#include "converter/counted_cast.h"

#include <cmath>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

class CountedCast final : public Rows {
 public:
  CountedCast(RowsPtr source, DType type, std::shared_ptr<CastLosses> losses)
      : Rows(type, source->rows(), source->cols()),
        source_(std::move(source)),
        cast_(cast_rows(source_, type)),
        losses_(std::move(losses)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const auto elements = static_cast<std::size_t>(count * cols());
    std::vector<float> before(elements);
    std::vector<float> after(elements);
    source_->read_f32(first, count, before);
    if (source_->type() == DType::f64) {
      cast_->read(first, count, out);  // rounded once, from float64
    } else {
      type_info(type()).encode(before.data(), out.data(), elements);
    }
    type_info(type()).decode(out.data(), after.data(), elements);
    Lost lost;
    for (std::size_t i = 0; i < elements; ++i) {
      lost.overflowed += std::isfinite(before[i]) && !std::isfinite(after[i]) ? 1U : 0U;
      lost.underflowed += before[i] != 0.0F && after[i] == 0.0F ? 1U : 0U;
    }
    if (lost.overflowed == 0 && lost.underflowed == 0) return;
    losses_->overflowed += lost.overflowed;
    losses_->underflowed += lost.underflowed;
    const std::lock_guard lock(mutex_);
    lost_[first] += lost;
  }

  std::string tally(std::uint64_t first, std::uint64_t count) const override {
    Lost lost;
    const std::lock_guard lock(mutex_);
    for (auto read = lost_.lower_bound(first); read != lost_.end() && read->first < first + count; ++read)
      lost += read->second;
    if (lost.overflowed == 0 && lost.underflowed == 0) return {};
    std::vector<std::byte> bytes;
    append_little_endian(bytes, lost.overflowed, 8);
    append_little_endian(bytes, lost.underflowed, 8);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  void restore_tally(std::string_view tally) const override {
    if (tally.size() != 16) throw Error(ErrorKind::input, "the journal holds a tally of another kind");
    const LittleEndian numbers(std::as_bytes(std::span(tally)));
    losses_->overflowed += numbers.u64(0);
    losses_->underflowed += numbers.u64(8);
  }

 private:
  struct Lost {
    std::uint64_t overflowed = 0, underflowed = 0;
    Lost& operator+=(const Lost& other) {
      overflowed += other.overflowed;
      underflowed += other.underflowed;
      return *this;
    }
  };

  RowsPtr source_, cast_;
  std::shared_ptr<CastLosses> losses_;
  mutable std::mutex mutex_;
  mutable std::map<std::uint64_t, Lost> lost_;  ///< by the first row of a read, of those that lost something
};

/// Can values of `from` leave the range of `to`?
bool may_lose(DType from, DType to) {
  if (from == to || to == DType::f64) return false;
  if (to == DType::f32) return from == DType::f64;
  if (to == DType::bf16) return from != DType::f16 && from != DType::f8_e4m3 && from != DType::f8_e5m2;
  return true;
}

}  // namespace

RowsPtr counted_cast(RowsPtr source, DType type, std::shared_ptr<CastLosses> losses) {
  if (!may_lose(source->type(), type)) return cast_rows(std::move(source), type);
  return std::make_shared<CountedCast>(std::move(source), type, std::move(losses));
}

std::string describe(const CastLosses& losses) {
  const auto values = [](std::uint64_t count) {
    return std::to_string(count) + (count == 1 ? " value" : " values");
  };
  std::string text;
  if (losses.overflowed > 0) text += values(losses.overflowed) + " became infinite";
  if (losses.underflowed > 0)
    text += (text.empty() ? "" : ", ") + values(losses.underflowed) + " became zero";
  return text;
}

}  // namespace galatea
