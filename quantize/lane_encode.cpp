#include "quantize/lane_encode.h"

#include "quantize/lane_table.h"

#define GALATEA_LANE_COUNT 4
#define GALATEA_LANE_ENCODERS lane_encoders_portable
#define GALATEA_LANE_IMPROVERS lane_improvers_portable
#include "quantize/lane_table.inc"

namespace galatea {

const LaneEncoders& lane_encoders([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return lane_encoders_avx512;
  if (isa >= Isa::avx2) return lane_encoders_avx2;
#endif
  return lane_encoders_portable;
}

const LaneEncoders& lane_encoders() { return lane_encoders(active_isa()); }

}  // namespace galatea
