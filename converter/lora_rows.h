// Merged weights as Rows: base + scaling * (B @ A), computed where and when the rows are asked for.
//
//   arithmetic   linear                         embedding                        sums of DoRA's lengths
//   peft         T(W + delta)                   T(W + T(delta))                  float32, in torch's order
//   peft-safe    T(W + T(delta))                T(W + T(delta))                  float32, in torch's order
//   exact        W + delta, all in float64, rounded once at the very end         float64
//
// T: the type in which the model was loaded, T(x) its rounding; delta = f32(f32(B @ A) * scaling) with the
// product of lora_product.h. Source: tuners/lora/layer.py and dora.py of PEFT 0.18, adapters as float32 (its
// default); on a model loaded as float32 that is what PEFT 0.4 did, too.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "format/rows.h"

namespace galatea {

enum class LoraArithmetic { peft, peft_safe, exact };
/// "peft", "peft-safe" or "exact". Throws Error(usage).
LoraArithmetic parse_lora_arithmetic(std::string_view text);
std::string_view to_string(LoraArithmetic arithmetic);

/// What an adapter adds to one weight matrix.
struct LoraUpdate {
  RowsPtr down;             ///< A: rank x in
  RowsPtr up;               ///< B: out x rank
  double scaling = 1;       ///< rounded to float32 before it is applied, as torch does with a Python number
  bool transposed = false;  ///< the weight is stored (in, out): embeddings
  /// DoRA: `out` lengths; the sum is scaled so that each output's weights have this length.
  std::optional<std::vector<float>> magnitude{};
  bool parameter = false;  ///< of target_parameters: delta is rounded to T under `peft`, too
};

struct LoraRounding {
  LoraArithmetic arithmetic = LoraArithmetic::peft;
  DType type = DType::f32;  ///< T: F32, F16 or BF16
};

/// Rows of the merged matrix: of type T, or F64 under `exact`. Memory of one read: the rows asked for, a few more, and
/// A and B whole in float32, which the threads that read one matrix share. DoRA on an embedding reads the whole matrix once before the first rows.
/// Throws Error(input) when the shapes do not fit.
RowsPtr lora_rows(RowsPtr base, LoraUpdate update, const LoraRounding& rounding = {});

/// `base` with row ids[i] replaced by row i of `rows`, converted to the type of `base`. Throws Error(input) for
/// an id that is out of range or given twice.
RowsPtr replaced_rows(RowsPtr base, RowsPtr rows, const std::vector<std::uint64_t>& ids);

/// A over groups of `group` inputs as a matrix over the inputs themselves: column i is column i / group (QALoRA).
RowsPtr repeated_cols(RowsPtr rows, std::uint64_t group);

}  // namespace galatea
