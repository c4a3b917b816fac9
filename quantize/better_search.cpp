#include "quantize/better_search.h"

#include "quantize/lane_table.h"

namespace galatea {

const LaneImprovers& lane_improvers([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return lane_improvers_avx512;
  if (isa >= Isa::avx2) return lane_improvers_avx2;
#endif
  return lane_improvers_portable;
}

ImproveRows find_improver(DType type) {
  const LaneImprovers& lanes = lane_improvers(active_isa());
  switch (type) {
    case DType::q4_0:
      return lanes.q4_0;
    case DType::q4_1:
      return lanes.q4_1;
    case DType::q5_0:
      return lanes.q5_0;
    case DType::q5_1:
      return lanes.q5_1;
    case DType::q8_0:
      return lanes.q8_0;
    case DType::q2_k:
      return lanes.q2_k;
    case DType::q3_k:
      return lanes.q3_k;
    case DType::q4_k:
      return lanes.q4_k;
    case DType::q5_k:
      return lanes.q5_k;
    case DType::q6_k:
      return lanes.q6_k;
    case DType::iq4_nl:
      return lanes.iq4_nl;
    case DType::iq4_xs:
      return lanes.iq4_xs;
    default:
      return nullptr;
  }
}

}  // namespace galatea
