// Encoders of GGUF's blocks of 32 elements (format/block_decode.h has their bytes).
//
//   type   scale d, in F32                          code of x; 1/d in F32, 0 when d is 0     stored as F16
//   Q4_0   m / -8, m the first of the largest |x|   min(15, trunc(x * 1/d + 8.5))            d
//   Q5_0   m / -16                                  min(31, trunc(x * 1/d + 16.5))           d
//   Q4_1   (max - min) / 15                         min(15, trunc((x - min) * 1/d + 0.5))    d, min
//   Q5_1   (max - min) / 31                         min(31, trunc((x - min) * 1/d + 0.5))    d, min
//   Q8_0   max |x| / 127                            x * 1/d to nearest, halves away from 0   d
//
// The codes are taken with the scale before it is rounded to F16. A d so small that 1/d overflows, or one
// that overflows itself, makes every code 0. Bit-identical to the reference quantizers of ggml
// (quantize_row_*_ref) for finite input. Compiled once for the base instruction set and once for AVX2: the
// same operations in the same order, so the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace galatea {

/// `elements` is a multiple of 32; values are finite; `in` and `out` do not overlap.
using EncodeBlocks = void (*)(const float* in, std::byte* out, std::uint64_t elements);

struct BlockEncoders {
  EncodeBlocks q4_0, q4_1, q5_0, q5_1, q8_0;
};

const BlockEncoders& block_encoders_portable();
/// nullptr where the processor (or the compiler's target) has no AVX2.
const BlockEncoders* block_encoders_avx2();
/// Those of active_isa().
const BlockEncoders& block_encoders();

}  // namespace galatea
