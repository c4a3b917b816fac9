#include "format/rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "format/checked.h"

namespace galatea {
namespace {

std::span<std::byte> bytes_of(std::span<float> values) { return std::as_writable_bytes(values); }

class StoredRows final : public Rows {
 public:
  StoredRows(SourcePtr source, DType type, std::uint64_t rows, std::uint64_t cols)
      : Rows(type, rows, cols), source_(std::move(source)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (count > 0) source_->read(first * row_bytes(), out);
  }

 private:
  SourcePtr source_;
};

class StridedRows final : public Rows {
 public:
  StridedRows(SourcePtr source, DType type, std::uint64_t offset, std::uint64_t rows, std::uint64_t cols,
              std::uint64_t row_stride, std::uint64_t col_stride)
      : Rows(type, rows, cols),
        source_(std::move(source)),
        offset_(offset),
        row_stride_(row_stride),
        col_stride_(col_stride) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (cols() == 0) return;
    const std::uint64_t width = row_bytes() / cols();
    if (col_stride_ == 1) {
      for (std::uint64_t r = 0; r < count; ++r) {
        source_->read(
            (offset_ + (first + r) * row_stride_) * width,
            out.subspan(static_cast<std::size_t>(r * row_bytes()), static_cast<std::size_t>(row_bytes())));
      }
      return;
    }
    // Column by column: for a transposed matrix (row_stride 1) the wanted part of each column is contiguous.
    const std::uint64_t span_elements = count == 0 ? 0 : (count - 1) * row_stride_ + 1;
    std::vector<std::byte> column(static_cast<std::size_t>(span_elements * width));
    for (std::uint64_t c = 0; c < cols() && count > 0; ++c) {
      source_->read((offset_ + first * row_stride_ + c * col_stride_) * width, std::span<std::byte>(column));
      for (std::uint64_t r = 0; r < count; ++r) {
        std::memcpy(out.data() + r * row_bytes() + c * width, column.data() + r * row_stride_ * width,
                    static_cast<std::size_t>(width));
      }
    }
  }

 private:
  SourcePtr source_;
  std::uint64_t offset_, row_stride_, col_stride_;
};

class CastRows final : public Rows {
 public:
  CastRows(RowsPtr source, DType type)
      : Rows(type, source->rows(), source->cols()), source_(std::move(source)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const auto elements = static_cast<std::size_t>(count * cols());
    if (type_info(source_->type()).quantized() || source_->type() == DType::f32) {
      std::vector<float> values(elements);
      source_->read_f32(first, count, values);
      type_info(type()).encode(values.data(), out.data(), elements);
      return;
    }
    std::vector<std::byte> stored(static_cast<std::size_t>(count * source_->row_bytes()));
    source_->read(first, count, stored);
    convert_plain(source_->type(), stored.data(), type(), out.data(), elements);
  }

 private:
  RowsPtr source_;
};

class JoinedRows final : public Rows {
 public:
  JoinedRows(std::vector<RowsPtr> parts, std::uint64_t rows)
      : Rows(parts.front()->type(), rows, parts.front()->cols()), parts_(std::move(parts)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::uint64_t begin = 0;
    for (const RowsPtr& part : parts_) {
      const std::uint64_t end = begin + part->rows();
      if (first < end && count > 0) {
        const std::uint64_t here = std::min(count, end - first);
        const auto bytes = static_cast<std::size_t>(here * row_bytes());
        part->read(first - begin, here, out.first(bytes));
        out = out.subspan(bytes);
        first += here;
        count -= here;
      }
      begin = end;
    }
  }

 private:
  std::vector<RowsPtr> parts_;
};

class JoinedCols final : public Rows {
 public:
  JoinedCols(std::vector<RowsPtr> parts, std::uint64_t cols)
      : Rows(parts.front()->type(), parts.front()->rows(), cols), parts_(std::move(parts)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<std::byte> buffer;
    std::uint64_t at = 0;
    for (const RowsPtr& part : parts_) {
      const std::uint64_t width = part->row_bytes();
      buffer.resize(static_cast<std::size_t>(count * width));
      part->read(first, count, buffer);
      for (std::uint64_t r = 0; r < count; ++r) {
        std::memcpy(out.data() + r * row_bytes() + at, buffer.data() + r * width,
                    static_cast<std::size_t>(width));
      }
      at += width;
    }
  }

 private:
  std::vector<RowsPtr> parts_;
};

class SlicedRows final : public Rows {
 public:
  SlicedRows(RowsPtr source, std::uint64_t first, std::uint64_t count)
      : Rows(source->type(), count, source->cols()), source_(std::move(source)), first_(first) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    source_->read(first_ + first, count, out);
  }

 private:
  RowsPtr source_;
  std::uint64_t first_;
};

class ReorderedRows final : public Rows {
 public:
  ReorderedRows(RowsPtr source, std::vector<std::uint32_t> order)
      : Rows(source->type(), order.size(), source->cols()),
        source_(std::move(source)),
        order_(std::move(order)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (count == 0) return;
    // Rows that lie close together are read at once: some sources (products) do a lot for each read.
    const auto begin = order_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto [low, high] = std::minmax_element(begin, begin + static_cast<std::ptrdiff_t>(count));
    const std::uint64_t lowest = *low;
    const std::uint64_t span = *high - lowest + 1;
    if (span / 2 <= count) {
      std::vector<std::byte> rows(static_cast<std::size_t>(span * row_bytes()));
      source_->read(lowest, span, rows);
      for (std::uint64_t r = 0; r < count; ++r) {
        std::memcpy(out.data() + r * row_bytes(),
                    rows.data() + (begin[static_cast<std::ptrdiff_t>(r)] - lowest) * row_bytes(),
                    static_cast<std::size_t>(row_bytes()));
      }
      return;
    }
    for (std::uint64_t r = 0; r < count; ++r) {
      source_->read(
          order_[static_cast<std::size_t>(first + r)], 1,
          out.subspan(static_cast<std::size_t>(r * row_bytes()), static_cast<std::size_t>(row_bytes())));
    }
  }

 private:
  RowsPtr source_;
  std::vector<std::uint32_t> order_;
};

void require(bool condition, const char* problem) {
  if (!condition) throw Error(ErrorKind::input, problem);
}

void require_alike(const std::vector<RowsPtr>& parts) {
  require(!parts.empty(), "there are no parts to join");
  for (const RowsPtr& part : parts)
    require(part->type() == parts.front()->type(), "parts to join differ in type");
}

}  // namespace

Rows::Rows(DType type, std::uint64_t rows, std::uint64_t cols)
    : type_(type), rows_(rows), cols_(cols), row_bytes_(type_info(type).bytes_for(cols)) {
  checked_mul(rows_, row_bytes_, "the size of a tensor in bytes");
}

void Rows::read_f32(std::uint64_t first, std::uint64_t count, std::span<float> out) const {
  if (type_ == DType::f32) {
    read(first, count, bytes_of(out));
    return;
  }
  // Decoded in pieces, so that scratch memory stays small however many rows are asked for.
  constexpr std::uint64_t piece_bytes = 256U << 10U;
  const std::uint64_t piece = std::clamp<std::uint64_t>(piece_bytes / std::max<std::uint64_t>(row_bytes_, 1),
                                                        1, std::max<std::uint64_t>(count, 1));
  std::vector<std::byte> stored(static_cast<std::size_t>(piece * row_bytes_));
  for (std::uint64_t done = 0; done < count; done += piece) {
    const std::uint64_t here = std::min(piece, count - done);
    const auto bytes = std::span(stored).first(static_cast<std::size_t>(here * row_bytes_));
    read(first + done, here, bytes);
    type_info(type_).decode(bytes.data(), out.data() + done * cols_, here * cols_);
  }
}

std::string Rows::tally(std::uint64_t, std::uint64_t) const { return {}; }

void Rows::restore_tally(std::string_view) const {
  throw Error(ErrorKind::input, "the journal holds a tally of rows that count nothing");
}

RowsPtr stored_rows(SourcePtr source, std::uint64_t offset, DType type, std::uint64_t rows,
                    std::uint64_t cols) {
  const std::uint64_t bytes =
      checked_mul(rows, type_info(type).bytes_for(cols), "the size of a tensor in bytes");
  return std::make_shared<StoredRows>(part_of(std::move(source), offset, bytes), type, rows, cols);
}

RowsPtr strided_rows(SourcePtr source, DType type, std::uint64_t offset, std::uint64_t rows,
                     std::uint64_t cols, std::uint64_t row_stride, std::uint64_t col_stride) {
  const TypeInfo& info = type_info(type);
  if (info.quantized())
    throw Error(ErrorKind::input, "a quantized tensor cannot be a strided view").file(source->name());
  if (rows > 0 && cols > 0) {
    const char* what = "the extent of a strided tensor";
    std::uint64_t last = checked_add(offset, checked_mul(rows - 1, row_stride, what), what);
    last = checked_add(last, checked_mul(cols - 1, col_stride, what), what);
    const std::uint64_t end = checked_mul(checked_add(last, 1, what), info.block_bytes, what);
    if (end > source->size()) {
      throw Error(ErrorKind::input, "a strided tensor reaches past the end of its storage")
          .file(source->name())
          .at(source->origin())
          .expected("a storage of at least " + std::to_string(end) + " bytes")
          .found(std::to_string(source->size()) + " bytes");
    }
  }
  return std::make_shared<StridedRows>(std::move(source), type, offset, rows, cols, row_stride, col_stride);
}

RowsPtr memory_rows(std::vector<std::byte> bytes, DType type, std::uint64_t rows, std::uint64_t cols) {
  require(bytes.size() == checked_mul(rows, type_info(type).bytes_for(cols), "tensor size"),
          "the bytes given for a tensor do not match its shape");
  return stored_rows(memory_source(std::move(bytes), "(memory)"), 0, type, rows, cols);
}

RowsPtr memory_rows(std::span<const float> values, std::uint64_t rows, std::uint64_t cols) {
  const auto bytes = std::as_bytes(values);
  return memory_rows(std::vector<std::byte>(bytes.begin(), bytes.end()), DType::f32, rows, cols);
}

RowsPtr cast_rows(RowsPtr source, DType type) {
  if (source->type() == type) return source;
  if (type_info(type).quantized()) {
    throw Error(ErrorKind::usage, "a cast to " + std::string(type_info(type).name) + " needs a quantizer");
  }
  return std::make_shared<CastRows>(std::move(source), type);
}

RowsPtr join_rows(std::vector<RowsPtr> parts) {
  require_alike(parts);
  std::uint64_t rows = 0;
  for (const RowsPtr& part : parts) {
    require(part->cols() == parts.front()->cols(), "parts to join along rows differ in their columns");
    rows = checked_add(rows, part->rows(), "the rows of a joined tensor");
  }
  if (parts.size() == 1) return parts.front();
  return std::make_shared<JoinedRows>(std::move(parts), rows);
}

RowsPtr join_cols(std::vector<RowsPtr> parts) {
  require_alike(parts);
  std::uint64_t cols = 0;
  for (const RowsPtr& part : parts) {
    require(part->rows() == parts.front()->rows(), "parts to join along columns differ in their rows");
    cols = checked_add(cols, part->cols(), "the columns of a joined tensor");
  }
  if (parts.size() == 1) return parts.front();
  return std::make_shared<JoinedCols>(std::move(parts), cols);
}

RowsPtr slice_rows(RowsPtr source, std::uint64_t first, std::uint64_t count) {
  require(first <= source->rows() && count <= source->rows() - first,
          "a slice reaches past the rows of its tensor");
  return std::make_shared<SlicedRows>(std::move(source), first, count);
}

RowsPtr reorder_rows(RowsPtr source, std::vector<std::uint32_t> order) {
  for (const std::uint32_t row : order)
    require(row < source->rows(), "a row order names a row that does not exist");
  return std::make_shared<ReorderedRows>(std::move(source), std::move(order));
}

std::vector<std::uint32_t> rotary_interleaved_to_half(std::uint64_t heads, std::uint64_t head_dim) {
  std::vector<std::uint32_t> order;
  order.reserve(static_cast<std::size_t>(heads * head_dim));
  for (std::uint64_t head = 0; head < heads; ++head) {
    for (std::uint64_t part = 0; part < 2; ++part) {
      for (std::uint64_t i = 0; i < head_dim / 2; ++i) {
        order.push_back(static_cast<std::uint32_t>(head * head_dim + 2 * i + part));
      }
    }
  }
  return order;
}

std::vector<std::uint32_t> rotary_half_to_interleaved(std::uint64_t heads, std::uint64_t head_dim) {
  std::vector<std::uint32_t> order;
  order.reserve(static_cast<std::size_t>(heads * head_dim));
  for (std::uint64_t head = 0; head < heads; ++head) {
    for (std::uint64_t i = 0; i < head_dim / 2; ++i) {
      for (std::uint64_t part = 0; part < 2; ++part) {
        order.push_back(static_cast<std::uint32_t>(head * head_dim + part * (head_dim / 2) + i));
      }
    }
  }
  return order;
}

}  // namespace galatea
