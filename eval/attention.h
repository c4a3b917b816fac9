// Attention of one head over one window: softmax(q k / sqrt(head_dim)) v, a block of queries at a time. No whole
// matrix of scores is held: what a thread works with grows with the window, not with its square.
//
//   float32       the products in the fixed order of matmul.h, exponentials of exponential.h
//   tiles         both products on tiles of bfloat16, 1 or 2 parts for each value (matmul_tiles_kernel.h), the
//                 softmax between them in float32; the shares are divided by their sum after the second product
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "eval/aligned.h"
#include "eval/matmul.h"
#include "eval/matmul_tiles_kernel.h"

namespace galatea {

/// One head of one window: row p of q, k, v and out lies `q_stride` or `kv_stride` floats behind row p - 1.
struct HeadOperands {
  const float* q;
  const float* k;
  const float* v;
  float* out;  ///< as q
  std::uint64_t q_stride, kv_stride;
};

/// Works on heads one after the other; each thread needs its own.
class HeadAttention {
 public:
  virtual ~HeadAttention() = default;
  virtual void run(const HeadOperands& head) = 0;
  /// To be called by the thread that calls run(), before and after.
  virtual void begin() {}
  virtual void end() {}
};

/// For windows of `length` tokens; `sliding_window` 0: every earlier position is seen.
std::unique_ptr<HeadAttention> head_attention(std::uint64_t length, std::uint64_t head_dim,
                                              std::uint64_t sliding_window, Isa isa, Precision precision);

/// Bytes that one of them takes at most.
std::uint64_t head_attention_bytes(std::uint64_t length, std::uint64_t head_dim);

/// The same with the given tiles, for tests.
std::unique_ptr<HeadAttention> head_attention(std::uint64_t length, std::uint64_t head_dim,
                                              std::uint64_t sliding_window, const kernel::TileKernel& tiles,
                                              std::uint64_t parts);

}  // namespace galatea
