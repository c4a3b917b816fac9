#include "converter/counted_cast.h"

#include <cmath>
#include <utility>
#include <vector>

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
    std::uint64_t overflowed = 0;
    std::uint64_t underflowed = 0;
    for (std::size_t i = 0; i < elements; ++i) {
      overflowed += std::isfinite(before[i]) && !std::isfinite(after[i]) ? 1U : 0U;
      underflowed += before[i] != 0.0F && after[i] == 0.0F ? 1U : 0U;
    }
    losses_->overflowed += overflowed;
    losses_->underflowed += underflowed;
  }

 private:
  RowsPtr source_, cast_;
  std::shared_ptr<CastLosses> losses_;
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
