#include "format/strided_view.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "format/checked.h"

namespace galatea {
namespace {

constexpr const char* what = "the extent of a strided tensor";

/// Rank 3 and more, or a row whose values lie apart.
class ViewRows final : public Rows {
 public:
  ViewRows(SourcePtr storage, DType type, std::uint64_t offset, Shape shape,
           std::vector<std::uint64_t> strides, MatrixShape matrix)
      : Rows(type, matrix.rows, matrix.cols),
        storage_(std::move(storage)),
        offset_(offset),
        shape_(std::move(shape)),
        strides_(std::move(strides)),
        width_(type_info(type).block_bytes) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    for (std::uint64_t r = 0; r < count; ++r) {
      read_row(position(first + r),
               out.subspan(static_cast<std::size_t>(r * row_bytes()), static_cast<std::size_t>(row_bytes())));
    }
  }

 private:
  /// Element of the storage where row `row` starts.
  std::uint64_t position(std::uint64_t row) const {
    std::uint64_t at = offset_;
    for (std::size_t axis = shape_.size() - 1; axis-- > 0;) {
      at += (row % shape_[axis]) * strides_[axis];
      row /= shape_[axis];
    }
    return at;
  }

  void read_row(std::uint64_t at, std::span<std::byte> out) const {
    const std::uint64_t step = strides_.back();
    if (step == 1) return storage_->read(at * width_, out);
    // The stretch that holds the next values, in pieces of bounded size.
    constexpr std::uint64_t piece_bytes = 1U << 20U;
    const std::uint64_t stretch = step * width_;
    const std::uint64_t values = stretch == 0 ? cols() : std::max<std::uint64_t>(1, piece_bytes / stretch);
    std::vector<std::byte> buffer;
    for (std::uint64_t c = 0; c < cols(); c += values) {
      const std::uint64_t now = std::min(values, cols() - c);
      buffer.resize(static_cast<std::size_t>((now - 1) * stretch + width_));
      storage_->read((at + c * step) * width_, std::span<std::byte>(buffer));
      for (std::uint64_t i = 0; i < now; ++i)
        std::memcpy(out.data() + (c + i) * width_, buffer.data() + i * stretch,
                    static_cast<std::size_t>(width_));
    }
  }

  SourcePtr storage_;
  std::uint64_t offset_;
  Shape shape_;
  std::vector<std::uint64_t> strides_;
  std::uint64_t width_;
};

void check_extent(const ByteSource& storage, DType type, std::uint64_t offset, const Shape& shape,
                  const std::vector<std::uint64_t>& strides) {
  std::uint64_t last = offset;
  for (std::size_t i = 0; i < shape.size(); ++i)
    last = checked_add(last, checked_mul(shape[i] - 1, strides[i], what), what);
  const std::uint64_t end = checked_mul(checked_add(last, 1, what), type_info(type).block_bytes, what);
  if (end > storage.size()) {
    throw Error(ErrorKind::input, "a tensor reaches past the end of its storage")
        .file(storage.name())
        .at(storage.origin())
        .expected("a storage of at least " + std::to_string(end) + " bytes")
        .found(std::to_string(storage.size()) + " bytes");
  }
}

}  // namespace

RowsPtr view_rows(SourcePtr storage, DType type, std::uint64_t offset, const Shape& shape,
                  const std::vector<std::uint64_t>& strides) {
  if (type_info(type).quantized() || shape.size() != strides.size())
    throw Error(ErrorKind::input, "a view needs plain values and one stride for each axis")
        .file(storage->name());
  const MatrixShape matrix = matrix_shape(shape, type);
  const std::uint64_t width = type_info(type).block_bytes;
  if (element_count(shape) == 0) return stored_rows(std::move(storage), 0, type, matrix.rows, matrix.cols);
  check_extent(*storage, type, offset, shape, strides);
  if (is_contiguous(shape, strides))
    return stored_rows(std::move(storage), checked_mul(offset, width, what), type, matrix.rows, matrix.cols);
  if (shape.size() == 1) return strided_rows(std::move(storage), type, offset, matrix.rows, 1, strides[0], 1);
  if (shape.size() == 2)
    return strided_rows(std::move(storage), type, offset, matrix.rows, matrix.cols, strides[0], strides[1]);
  return std::make_shared<ViewRows>(std::move(storage), type, offset, shape, strides, matrix);
}

bool is_contiguous(const Shape& shape, const std::vector<std::uint64_t>& strides) {
  std::uint64_t expected = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1) continue;  // its stride is never used
    if (strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

std::vector<std::uint64_t> contiguous_strides(const Shape& shape) {
  std::vector<std::uint64_t> out(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;)
    out[i - 1] = checked_mul(out[i], std::max<std::uint64_t>(1, shape[i]), what);
  return out;
}

}  // namespace galatea
