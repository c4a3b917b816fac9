// Where lane_encode.cpp finds what was compiled for one instruction set each.
#pragma once

#include "quantize/lane_encode.h"

namespace galatea {

extern const LaneEncoders lane_encoders_portable;
extern const LaneEncoders lane_encoders_avx2;
extern const LaneEncoders lane_encoders_avx512;

}  // namespace galatea
