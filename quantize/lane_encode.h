// The encoders that search for scales, one block a lane of a vector: K-quants, and the older types with
// importance. format/block_decode*.h have the bytes.
//
//   type        search without importance                    with importance (weights q * sqrt(s2 + x^2))
//   Q2_K        16 lines a group of 16, by mean error        37 lines a group; scales searched by weight
//   Q3_K        codes moved one by one, weights x^2          19 scales a group; 19 over the groups
//   Q4_K, Q5_K  21, 16 lines a group of 32, by square error  as Q2_K
//   Q6_K        19 scales a group of 16, weights x^2         19 scales, weights q alone
//   Q4_0, Q5_0  (quantize/block_encode.h)                    19 scales a block
//   Q4_1, Q5_1  (quantize/block_encode.h)                    37 lines a block
//   IQ4_NL, _XS 16 scales a group of 32, weights x^2         the same
//   IQ2_XXS     -                                            13 scales a group of 32, nearest points of the grid
//   IQ2_XS      -                                            19 scales a group of 16
//   IQ2_S       as with it, weights s2 / 4 + x^2             19 scales a group of 16
//   IQ3_XXS, _S as with it, weights x^2                      31, 19 scales a group of 32
//   IQ1_S       -                                            all cuts of a sorted group of 32, two shifts
//   IQ1_M       as with it, weights x^2                      all cuts of a group of 16, four shifts
//   TQ1_0, _2_0 the largest magnitude                        -
//   MXFP4       the power of two below it, over 4            -
//
// s2 is the mean square of the block (twice that for Q3_K to Q5_K, IQ4, IQ3,
// IQ2_S and IQ1; of the whole row for blocks of 32).
// Bit-identical to ggml's quantize_q*(src, dst, rows, cols, weights) of version 0.25 (2026; before, IQ1_M summed
// otherwise), which without importance are its quantize_row_q*_K_ref, built without contraction, for finite
// input: each lane does what they do in their
// order, in IQ3_S too, where ggml puts the groups behind a group of zeros one place too early, which spoils the
// block. Compiled for vectors of 4, 8 (AVX2) and 16 lanes (AVX-512).
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/isa.h"

namespace galatea {

/// Encodes `rows` rows of `cols` finite values, whole blocks each. `importance` has `cols` weights, not
/// negative and finite, or is null. `in` and `out` do not overlap.
using EncodeRows = void (*)(const float* in, std::byte* out, std::uint64_t rows, std::uint64_t cols,
                            const float* importance);

struct LaneEncoders {
  EncodeRows q2_k, q3_k, q4_k, q5_k, q6_k;
  EncodeRows q4_0, q4_1, q5_0, q5_1;  ///< importance must be there
  EncodeRows iq4_nl, iq4_xs;
  EncodeRows tq1_0, tq2_0, mxfp4;  ///< importance is ignored
  EncodeRows iq2_xxs, iq2_xs;      ///< importance must be there
  EncodeRows iq2_s, iq3_xxs, iq3_s;
  EncodeRows iq1_s;  ///< importance must be there
  EncodeRows iq1_m;
};

/// Those compiled for `isa`, which the processor must have; the next lower ones where there are none.
const LaneEncoders& lane_encoders(Isa isa);
/// Those of active_isa().
const LaneEncoders& lane_encoders();

}  // namespace galatea
