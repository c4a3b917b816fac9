// Where lane_encode.cpp and better_search.cpp find what was compiled for one instruction set each.
#pragma once

#include "quantize/better_search.h"
#include "quantize/lane_encode.h"

namespace galatea {

extern const LaneEncoders lane_encoders_portable;
extern const LaneEncoders lane_encoders_avx2;
extern const LaneEncoders lane_encoders_avx512;

extern const LaneImprovers lane_improvers_portable;
extern const LaneImprovers lane_improvers_avx2;
extern const LaneImprovers lane_improvers_avx512;

}  // namespace galatea
