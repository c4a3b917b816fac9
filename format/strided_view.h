// A tensor of any rank as a view of a storage:
// element (i, j, ...) lies at offset + i*stride0 + j*stride1 + ...
#pragma once

#include <cstdint>
#include <vector>

#include "format/tensor.h"

namespace galatea {

/// The values of a view in row-major order, as the matrix that matrix_shape() makes of its shape. `storage`
/// holds plain values of `type` from its first byte; offset and strides count elements. Throws Error(input)
/// when the view reaches past the end of the storage.
RowsPtr view_rows(SourcePtr storage, DType type, std::uint64_t offset, const Shape& shape,
                  const std::vector<std::uint64_t>& strides);

/// True when the values of the view lie one after another.
bool is_contiguous(const Shape& shape, const std::vector<std::uint64_t>& strides);

/// The strides of a tensor that is stored row-major, as torch gives them: extents of 0 count as 1.
std::vector<std::uint64_t> contiguous_strides(const Shape& shape);

}  // namespace galatea
