// The one currency of the engine: a matrix whose rows can be asked for in any range.
//
// A tensor in a file is Rows; so is a cast, a rotary permutation, a join of tensor-parallel shards, a LoRA
// merge or a block quantization over other Rows. They compose, nothing is computed before it is asked for,
// and each asks its sources only for what the range needs, so memory is bounded by the range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/dtype.h"
#include "format/source.h"

namespace galatea {

class Rows;
using RowsPtr = std::shared_ptr<const Rows>;

/// `rows() x cols()` values of one type; a row is stored in `row_bytes()` bytes, rows follow each other.
/// Any number of threads may call read() at once.
class Rows {
 public:
  Rows(DType type, std::uint64_t rows, std::uint64_t cols);
  virtual ~Rows() = default;

  DType type() const { return type_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t cols() const { return cols_; }
  std::uint64_t row_bytes() const { return row_bytes_; }

  /// Writes the bytes of rows [first, first + count) to `out`, which has exactly count * row_bytes() bytes.
  /// The same range always gives the same bytes. Throws Error.
  virtual void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const = 0;

  /// Same rows as float32, `out` has count * cols() values. Decodes block by block; the default reads raw
  /// bytes and decodes them with the type's row of the table.
  virtual void read_f32(std::uint64_t first, std::uint64_t count, std::span<float> out) const;

  /// What was counted while the rows [first, first + count) were read (losses of a cast, errors of a
  /// quantization), in any form, for a journal; empty when nothing is counted. Only the rows that a plan holds
  /// are asked, not those that they are made of.
  virtual std::string tally(std::uint64_t first, std::uint64_t count) const;
  /// Counts what an earlier run counted. Throws Error(input) for what tally() cannot have said.
  virtual void restore_tally(std::string_view tally) const;

 private:
  DType type_;
  std::uint64_t rows_, cols_, row_bytes_;
};

/// Stored rows, one after another from byte `offset` of `source`; checked against its size here.
RowsPtr stored_rows(SourcePtr source, std::uint64_t offset, DType type, std::uint64_t rows,
                    std::uint64_t cols);

/// Rows of a strided view: value (r, c) lies at element `offset + r*row_stride + c*col_stride` of `source`
/// (plain types only, strides in elements). Used for transposed or sliced torch tensors of rank <= 2.
RowsPtr strided_rows(SourcePtr source, DType type, std::uint64_t offset, std::uint64_t rows,
                     std::uint64_t cols, std::uint64_t row_stride, std::uint64_t col_stride);

/// Values given as bytes in memory.
RowsPtr memory_rows(std::vector<std::byte> bytes, DType type, std::uint64_t rows, std::uint64_t cols);
RowsPtr memory_rows(std::span<const float> values, std::uint64_t rows, std::uint64_t cols);

/// The same values in another plain type, rounded once (convert_plain); quantized sources go through
/// float32. Returns `source` itself when the type is already right. Throws Error(usage) for a quantized
/// `type`.
RowsPtr cast_rows(RowsPtr source, DType type);

/// Parts one below the other: equal cols and type, rows added up (tensor-parallel shards cut along dim 0).
RowsPtr join_rows(std::vector<RowsPtr> parts);

/// Parts side by side: equal rows and type, cols added up (shards cut along dim 1).
RowsPtr join_cols(std::vector<RowsPtr> parts);

/// Rows [first, first + count) of `source`.
RowsPtr slice_rows(RowsPtr source, std::uint64_t first, std::uint64_t count);

/// Row i of the result is row order[i] of `source`; order.size() rows.
RowsPtr reorder_rows(RowsPtr source, std::vector<std::uint32_t> order);

/// The row order that turns the interleaved rotary layout of Meta and GGUF (pairs 2i, 2i+1) into the
/// half-split one of Hugging Face (i, i + head_dim/2), for `heads` heads of `head_dim` rows; and back.
/// Source: permute() of convert_llama_weights_to_hf.py: view (heads, head_dim/2, 2, cols),
/// axes 1 and 2 swapped.
std::vector<std::uint32_t> rotary_interleaved_to_half(std::uint64_t heads, std::uint64_t head_dim);
std::vector<std::uint32_t> rotary_half_to_interleaved(std::uint64_t heads, std::uint64_t head_dim);

}  // namespace galatea
