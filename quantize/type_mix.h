// Which type each tensor of a quantized model gets: what llama-quantize does for the types of one kind.
//
//   tensor                         type
//   vectors (norms)                F32; integers as they are
//   output.weight                  Q8_0 when TYPE is quantized (llama.cpp takes Q6_K, which galatea does not
//                                  write)
//   token_embd.weight              TYPE; when the model has no output.weight (tied), as output.weight
//   every other matrix             TYPE
//   rows that are no whole blocks  F16 in place of a quantized type
//
// `pure` gives the output the same type as the rest.
#pragma once

#include <optional>
#include <string_view>

#include "format/tensor.h"

namespace galatea {

struct TypeMix {
  DType type = DType::f16;
  bool pure = false;
  std::optional<DType> output_type;     ///< overrides the rule for the output head
  std::optional<DType> embedding_type;  ///< overrides the rule for the token embedding
};

/// `tied`: there is no output.weight, the embedding serves as output head too.
DType mixed_type(const Tensor& tensor, const TypeMix& mix, bool tied);

}  // namespace galatea
