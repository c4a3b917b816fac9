// Our own search for scales inside the formats of quantize/lane_encode.h: blocks that any reader of the format
// reads, nearer to their weights than those of ggml's quantizers.
//
//   type                     search, one block a lane; weights are those of the columns, else all 1
//   Q4_0 Q5_0 Q8_0 IQ4_NL    scales of both signs around the largest magnitude, least squares, codes taken anew
//   Q4_1 Q5_1                lines from the least value up, least squares, codes taken anew
//   Q3_K Q6_K IQ4_XS         as above in each group; the scale of scales by least squares over what the groups
//                            found, then every group's scale and its neighbours tried, the scale of scales fitted
//                            to the codes, and both once more
//   Q2_K Q4_K Q5_K           the same with lines: nine pairs of scale and minimum tried in each group
//
// A block is kept only where the sum of weight * (decoded - value)^2 over it, of what the decoder gives, is less by
// a ten-thousandth at least, which is more than rounding of the sum: no block is worse than the reference's. Same
// bytes on every path.
#pragma once

#include "format/dtype.h"
#include "format/isa.h"
#include "quantize/lane_encode.h"

namespace galatea {

/// As EncodeRows, but `out` has the blocks of some encoder already, of which the worse ones are replaced.
using ImproveRows = EncodeRows;

struct LaneImprovers {
  ImproveRows q4_0, q4_1, q5_0, q5_1, q8_0;
  ImproveRows q2_k, q3_k, q4_k, q5_k, q6_k;
  ImproveRows iq4_nl, iq4_xs;
};

/// Those compiled for `isa`, which the processor must have; the next lower ones where there are none.
const LaneImprovers& lane_improvers(Isa isa);

/// Of active_isa(); nullptr for types without a better search.
ImproveRows find_improver(DType type);

}  // namespace galatea
