// A named tensor: what a checkpoint lists and what a plan will write. Reading and writing share it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "format/rows.h"

namespace galatea {

/// Extents, outermost first as in PyTorch and safetensors (GGUF stores them reversed). Empty for a scalar.
using Shape = std::vector<std::uint64_t>;

/// "[4096, 11008]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

/// Number of values. Throws Error(input) on overflow.
std::uint64_t element_count(const Shape& shape);

/// How a shape is seen as a matrix: cols is the last extent, rows the product of the others. Plain types of
/// rank 0 or 1 are seen as a column (rows = n, cols = 1), so that any range of them can be asked for;
/// quantized ones as a single row.
struct MatrixShape {
  std::uint64_t rows, cols;
};
MatrixShape matrix_shape(const Shape& shape, DType type);

struct Tensor {
  std::string name;
  Shape shape;
  RowsPtr data;  ///< its rows x cols hold exactly the values of `shape`, in row-major order

  std::filesystem::path file;  ///< where it is stored, empty when it is computed
  std::uint64_t offset = 0;    ///< byte of its first value in `file`, for listings

  DType type() const { return data->type(); }
  std::uint64_t bytes() const { return data->rows() * data->row_bytes(); }
};

/// All values as float32. For small tensors (adapters, norms). Throws Error(input) above `limit` values.
std::vector<float> read_all_f32(const Tensor& tensor, std::uint64_t limit = std::uint64_t{1} << 28U);

}  // namespace galatea
