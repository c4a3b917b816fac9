#include "converter/lora_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "converter/lora_factors.h"
#include "converter/lora_length.h"
#include "converter/lora_product.h"
#include "format/error.h"

namespace galatea {
namespace {

std::string shape_text(const Rows& rows) {
  return std::to_string(rows.rows()) + " x " + std::to_string(rows.cols());
}

/// matrix[r][c] for c in [first, first + count) as [count][rows]: a column range, transposed. Row by row, so
/// that a wide matrix is never held whole.
std::vector<float> columns_f32(const Rows& matrix, std::uint64_t first, std::uint64_t count) {
  std::vector<float> row(static_cast<std::size_t>(matrix.cols()));
  std::vector<float> out(static_cast<std::size_t>(count * matrix.rows()));
  for (std::uint64_t r = 0; r < matrix.rows(); ++r) {
    matrix.read_f32(r, 1, row);
    for (std::uint64_t c = 0; c < count; ++c) out[c * matrix.rows() + r] = row[first + c];
  }
  return out;
}

std::vector<float> rows_f32(const Rows& matrix, std::uint64_t first, std::uint64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count * matrix.cols()));
  matrix.read_f32(first, count, out);
  return out;
}

/// Memory kept from call to call: fresh pages for every few rows take longer than the sums. Not to be held while
/// other rows are read, which may use it, too.
template <class Value>
std::span<Value> scratch(std::size_t count) {
  static thread_local std::vector<Value> kept;
  if (kept.size() < count) kept.resize(count);
  return std::span(kept).first(count);
}

void read_f64(const Rows& matrix, std::uint64_t first, std::uint64_t count, std::span<double> out) {
  if (matrix.type() == DType::f64) return matrix.read(first, count, std::as_writable_bytes(out));
  std::vector<float> values(out.size());
  matrix.read_f32(first, count, values);
  std::copy(values.begin(), values.end(), out.begin());
}

void round_to(DType type, std::span<float> values) {
  if (type == DType::f32) return;
  const TypeInfo& info = type_info(type);
  std::vector<std::byte> stored(values.size() * info.block_bytes);
  info.encode(values.data(), stored.data(), values.size());
  info.decode(stored.data(), values.data(), values.size());
}

class LoraRows : public Rows {
 public:
  LoraRows(RowsPtr base, LoraUpdate update, const LoraRounding& rounding)
      : Rows(rounding.arithmetic == LoraArithmetic::exact ? DType::f64 : rounding.type, base->rows(),
             base->cols()),
        base_(std::move(base)),
        update_(std::move(update)),
        rounding_(rounding) {}

 protected:
  LoraFactors load() const {
    const Rows& down = *update_.down;
    const Rows& up = *update_.up;
    if (update_.transposed) return {columns_f32(down, 0, down.cols()), columns_f32(up, 0, up.cols())};
    return {rows_f32(up, 0, up.rows()), rows_f32(down, 0, down.rows())};
  }
  /// Of rows [first, first + count), a few after the other so that they stay in the cache.
  template <class Value, class Work>
  void by_few_rows(std::uint64_t first, std::uint64_t count, std::span<Value> out, const Work& work) const {
    constexpr std::uint64_t rows_at_once = 32;
    const std::uint64_t rank = update_.down->rows();
    const LoraFactorCache::Use factors(factors_);
    for (std::uint64_t row = 0; row < count; row += rows_at_once) {
      const std::uint64_t some = std::min(rows_at_once, count - row);
      const std::span<const float> left =
          std::span(factors->left)
              .subspan(static_cast<std::size_t>((first + row) * rank), static_cast<std::size_t>(some * rank));
      work(first + row, some, left, factors->right,
           out.subspan(static_cast<std::size_t>(row * cols()), static_cast<std::size_t>(some * cols())));
    }
  }
  /// Adds up the squares of every column of `sum`, once: lengths of an embedding's dimensions.
  template <class Value, class Sum>
  std::vector<Value> column_lengths(const Sum& sum) const {
    std::vector<Value> squares(static_cast<std::size_t>(cols()), Value{0});
    const std::uint64_t step = std::max<std::uint64_t>(1, (1U << 20U) / std::max<std::uint64_t>(cols(), 1));
    for (std::uint64_t row = 0; row < rows(); row += step) {
      const std::vector<Value> values = sum(row, std::min(step, rows() - row));
      add_squares(std::span<const Value>(values), std::span(squares));
    }
    for (Value& square : squares) square = std::sqrt(square);
    return squares;
  }

  RowsPtr base_;
  LoraUpdate update_;
  LoraRounding rounding_;

 private:
  LoraFactorCache factors_{[this] { return load(); }};
};

/// PEFT's arithmetic.
class PeftRows final : public LoraRows {
 public:
  using LoraRows::LoraRows;

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> values(static_cast<std::size_t>(count * cols()));
    merged(first, count, values);
    type_info(type()).encode(values.data(), out.data(), values.size());
  }

  void read_f32(std::uint64_t first, std::uint64_t count, std::span<float> out) const override {
    merged(first, count, out);
    round_to(type(), out);
  }

 private:
  void merged(std::uint64_t first, std::uint64_t count, std::span<float> out) const {
    if (count == 0) return;
    const bool dora = update_.magnitude.has_value();
    const bool rounds = !dora && (update_.transposed || update_.parameter ||
                                  rounding_.arithmetic == LoraArithmetic::peft_safe);
    add(first, count, rounds, out);
    if (!dora) return;
    const std::vector<float>& wanted = *update_.magnitude;
    if (update_.transposed) {
      std::call_once(once_, [&] {
        lengths_ = column_lengths<float>([&](std::uint64_t row, std::uint64_t rows) {
          std::vector<float> values(static_cast<std::size_t>(rows * cols()));
          add(row, rows, false, values);
          return values;
        });
      });
      for (std::uint64_t r = 0; r < count; ++r) {
        for (std::uint64_t c = 0; c < cols(); ++c) out[r * cols() + c] *= wanted[c] / lengths_[c];
      }
      return;
    }
    for (std::uint64_t r = 0; r < count; ++r) {
      const std::span<float> row =
          out.subspan(static_cast<std::size_t>(r * cols()), static_cast<std::size_t>(cols()));
      const float factor = wanted[first + r] / torch_length(row);
      for (float& value : row) value *= factor;
    }
  }

  /// W + delta in float32, not yet rounded to T.
  void add(std::uint64_t first, std::uint64_t count, bool rounds, std::span<float> out) const {
    const std::uint64_t rank = update_.down->rows();
    const auto scaling = static_cast<float>(update_.scaling);
    by_few_rows(first, count, out,
                [&](std::uint64_t row, std::uint64_t some, std::span<const float> left,
                    std::span<const float> right, std::span<float> sum) {
                  base_->read_f32(row, some, sum);
                  round_to(rounding_.type, sum);
                  const std::span<float> delta = scratch<float>(sum.size());
                  lora_product(left, right, delta, rank);
                  if (!rounds) {
                    for (std::size_t i = 0; i < delta.size(); ++i) sum[i] += delta[i] * scaling;
                    return;
                  }
                  for (float& value : delta) value *= scaling;
                  round_to(rounding_.type, delta);
                  for (std::size_t i = 0; i < delta.size(); ++i) sum[i] += delta[i];
                });
  }

  mutable std::once_flag once_;
  mutable std::vector<float> lengths_;
};

/// Everything in float64; the values that float32 or a half hold are exact there.
class ExactRows final : public LoraRows {
 public:
  using LoraRows::LoraRows;

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (reinterpret_cast<std::uintptr_t>(out.data()) % alignof(double) == 0) {
      const std::span<double> values(reinterpret_cast<double*>(out.data()), out.size() / sizeof(double));
      merged(first, count, values);
      return;
    }
    std::vector<double> values(out.size() / sizeof(double));
    merged(first, count, values);
    std::memcpy(out.data(), values.data(), out.size());
  }

 private:
  void merged(std::uint64_t first, std::uint64_t count, std::span<double> values) const {
    add(first, count, values);
    if (update_.magnitude) scale(first, values);
  }

  void scale(std::uint64_t first, std::span<double> values) const {
    const std::vector<float>& wanted = *update_.magnitude;
    if (update_.transposed) {
      std::call_once(once_, [&] {
        lengths_ = column_lengths<double>([&](std::uint64_t row, std::uint64_t rows) {
          std::vector<double> sums(static_cast<std::size_t>(rows * cols()));
          add(row, rows, sums);
          return sums;
        });
      });
    }
    for (std::uint64_t r = 0; r < values.size() / cols(); ++r) {
      double* const row = values.data() + r * cols();
      double length = 0;
      if (!update_.transposed) {
        for (std::uint64_t c = 0; c < cols(); ++c) length += row[c] * row[c];
        length = std::sqrt(length);
      }
      for (std::uint64_t c = 0; c < cols(); ++c)
        row[c] *= update_.transposed ? double{wanted[c]} / lengths_[c] : double{wanted[first + r]} / length;
    }
  }

  void add(std::uint64_t first, std::uint64_t count, std::span<double> out) const {
    const std::uint64_t rank = update_.down->rows();
    by_few_rows(first, count, out,
                [&](std::uint64_t row, std::uint64_t some, std::span<const float> left,
                    std::span<const float> right, std::span<double> sum) {
                  read_f64(*base_, row, some, sum);
                  const std::span<double> delta = scratch<double>(sum.size());
                  lora_product(left, right, delta, rank);
                  for (std::size_t i = 0; i < delta.size(); ++i) sum[i] += delta[i] * update_.scaling;
                });
  }

  mutable std::once_flag once_;
  mutable std::vector<double> lengths_;
};

class ReplacedRows final : public Rows {
 public:
  ReplacedRows(RowsPtr base, RowsPtr rows, const std::vector<std::uint64_t>& ids)
      : Rows(base->type(), base->rows(), base->cols()), base_(std::move(base)), rows_(std::move(rows)) {
    for (std::uint64_t i = 0; i < ids.size(); ++i) places_.emplace(ids[i], i);
  }
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    base_->read(first, count, out);
    for (auto it = places_.lower_bound(first); it != places_.end() && it->first < first + count; ++it) {
      rows_->read(it->second, 1,
                  out.subspan(static_cast<std::size_t>((it->first - first) * row_bytes()),
                              static_cast<std::size_t>(row_bytes())));
    }
  }

 private:
  RowsPtr base_, rows_;
  std::map<std::uint64_t, std::uint64_t> places_;
};

class RepeatedCols final : public Rows {
 public:
  RepeatedCols(RowsPtr rows, std::uint64_t group)
      : Rows(DType::f32, rows->rows(), rows->cols() * group), rows_(std::move(rows)), group_(group) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::vector<float> narrow = rows_f32(*rows_, first, count);
    std::vector<float> wide;
    wide.reserve(static_cast<std::size_t>(count * cols()));
    for (const float value : narrow) wide.insert(wide.end(), static_cast<std::size_t>(group_), value);
    std::memcpy(out.data(), wide.data(), out.size());
  }

 private:
  RowsPtr rows_;
  std::uint64_t group_;
};

}  // namespace

LoraArithmetic parse_lora_arithmetic(std::string_view text) {
  for (const LoraArithmetic one : {LoraArithmetic::peft, LoraArithmetic::peft_safe, LoraArithmetic::exact}) {
    if (to_string(one) == text) return one;
  }
  throw Error(ErrorKind::usage, "no such arithmetic").expected("peft, peft-safe or exact").found(text);
}

std::string_view to_string(LoraArithmetic arithmetic) {
  switch (arithmetic) {
    case LoraArithmetic::peft:
      return "peft";
    case LoraArithmetic::peft_safe:
      return "peft-safe";
    case LoraArithmetic::exact:
      return "exact";
  }
  return "?";
}

RowsPtr lora_rows(RowsPtr base, LoraUpdate update, const LoraRounding& rounding) {
  const std::uint64_t in = update.transposed ? base->rows() : base->cols();
  const std::uint64_t out = update.transposed ? base->cols() : base->rows();
  const Rows& down = *update.down;
  const Rows& up = *update.up;
  if (down.rows() == 0 || down.rows() != up.cols() || down.cols() != in || up.rows() != out) {
    throw Error(ErrorKind::input, "the adapter's matrices do not fit the weight they change")
        .expected("A: rank x " + std::to_string(in) + ", B: " + std::to_string(out) + " x rank")
        .found("A: " + shape_text(down) + ", B: " + shape_text(up));
  }
  if (update.magnitude && update.magnitude->size() != out) {
    throw Error(ErrorKind::input, "the adapter's magnitudes do not fit the weight they change")
        .expected(std::to_string(out) + " values")
        .found(std::to_string(update.magnitude->size()));
  }
  if (rounding.arithmetic == LoraArithmetic::exact)
    return std::make_shared<ExactRows>(std::move(base), std::move(update), rounding);
  return std::make_shared<PeftRows>(std::move(base), std::move(update), rounding);
}

RowsPtr replaced_rows(RowsPtr base, RowsPtr rows, const std::vector<std::uint64_t>& ids) {
  std::vector<std::uint64_t> sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  const bool twice = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
  if (twice || ids.size() != rows->rows() || rows->cols() != base->cols() ||
      (!sorted.empty() && sorted.back() >= base->rows())) {
    throw Error(ErrorKind::input, "the adapter's rows for single tokens do not fit the embedding")
        .expected(std::to_string(ids.size()) + " x " + std::to_string(base->cols()) +
                  ", different ids below " + std::to_string(base->rows()))
        .found(shape_text(*rows) + (sorted.empty() ? "" : ", ids up to " + std::to_string(sorted.back())) +
               (twice ? ", one of them twice" : ""));
  }
  RowsPtr cast = cast_rows(std::move(rows), base->type());
  return std::make_shared<ReplacedRows>(std::move(base), std::move(cast), ids);
}

RowsPtr repeated_cols(RowsPtr rows, std::uint64_t group) {
  return std::make_shared<RepeatedCols>(std::move(rows), group);
}

}  // namespace galatea
