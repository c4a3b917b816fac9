// llama2.c's checkpoint (.bin): seven numbers and float32 weights, without magic or names.
//
//   bytes   what (little-endian)
//   28      i32 dim, hidden_dim, layers, heads, kv_heads, vocab (negative: the head is a matrix of its own),
//           context
//   ...     f32 embedding [vocab, dim]
//   ...     f32, for all layers each: attention norm [dim], wq [dim, dim], wk [kv, dim], wv [kv, dim],
//           wo [dim, dim], feed-forward norm [dim], w1 [hidden, dim], w2 [dim, hidden], w3 [hidden, dim],
//           where kv = dim / heads * kv_heads
//   ...     f32 final norm [dim]
//   ...     f32 two rotary tables [context, dim / heads / 2], of no use here
//   ...     f32 output [vocab, dim] when vocab was negative
//
// The rotary rows are interleaved, RMS epsilon is 1e-5 and theta 10000, as its run.c has them. Source: the
// legacy export of karpathy/llama2.c.
#pragma once

#include <optional>
#include <vector>

#include "format/llama_config.h"
#include "format/source.h"
#include "format/tensor.h"

namespace galatea {

struct Llama2cModel {
  LlamaConfig config;
  std::vector<Tensor> tensors;  ///< with Meta's names
};

/// Nothing unless the seven numbers are sane and account for the file's size to the byte.
std::optional<Llama2cModel> read_llama2c(const SourcePtr& source);

}  // namespace galatea
