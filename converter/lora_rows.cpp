#include "converter/lora_rows.h"

#include <cstring>
#include <string>
#include <utility>

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

class LoraRows final : public Rows {
 public:
  LoraRows(RowsPtr base, LoraUpdate update)
      : Rows(DType::f32, base->rows(), base->cols()), base_(std::move(base)), update_(std::move(update)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> values(static_cast<std::size_t>(count * cols()));
    read_f32(first, count, values);
    std::memcpy(out.data(), values.data(), out.size());
  }

  void read_f32(std::uint64_t first, std::uint64_t count, std::span<float> out) const override {
    if (count == 0) return;
    const Rows& down = *update_.down;
    const Rows& up = *update_.up;
    const std::vector<float> left =
        update_.transposed ? columns_f32(down, first, count) : rows_f32(up, first, count);
    const std::vector<float> right =
        update_.transposed ? columns_f32(up, 0, up.cols()) : rows_f32(down, 0, down.rows());
    std::vector<float> delta(out.size());
    lora_product(left, right, delta, down.rows());
    base_->read_f32(first, count, out);
    const auto scaling = static_cast<float>(update_.scaling);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const float change = delta[i] * scaling;
      out[i] = out[i] + change;
    }
  }

 private:
  RowsPtr base_;
  LoraUpdate update_;
};

}  // namespace

RowsPtr lora_rows(RowsPtr base, LoraUpdate update) {
  const std::uint64_t in = update.transposed ? base->rows() : base->cols();
  const std::uint64_t out = update.transposed ? base->cols() : base->rows();
  const Rows& down = *update.down;
  const Rows& up = *update.up;
  if (down.rows() == 0 || down.rows() != up.cols() || down.cols() != in || up.rows() != out) {
    throw Error(ErrorKind::input, "the adapter's matrices do not fit the weight they change")
        .expected("A: rank x " + std::to_string(in) + ", B: " + std::to_string(out) + " x rank")
        .found("A: " + shape_text(down) + ", B: " + shape_text(up));
  }
  return std::make_shared<LoraRows>(std::move(base), std::move(update));
}

}  // namespace galatea
