// Merged weights as Rows: base + scaling * (B @ A), computed where and when the rows are asked for.
#pragma once

#include "format/rows.h"

namespace galatea {

/// What an adapter adds to one weight matrix.
struct LoraUpdate {
  RowsPtr down;             ///< A: rank x in
  RowsPtr up;               ///< B: out x rank
  double scaling = 1;       ///< rounded to float32 before it is applied, as torch does with a Python number
  bool transposed = false;  ///< the weight is stored (in, out): embeddings
};

/// float32 rows of base + scaling * (B @ A), or of its transpose. The product is lora_product()'s; it is
/// rounded, scaled, rounded, added to the base as float32 and rounded: three roundings, in PEFT's order.
/// Memory of one read: the rows asked for twice over, A (or B) whole and the other's part as float32.
/// Throws Error(input) when the shapes do not fit.
RowsPtr lora_rows(RowsPtr base, LoraUpdate update);

}  // namespace galatea
