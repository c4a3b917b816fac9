#include "quantize/lane_table.h"

#if defined(__x86_64__)

#define GALATEA_LANE_COUNT 8
#define GALATEA_LANE_ENCODERS lane_encoders_avx2
#define GALATEA_LANE_IMPROVERS lane_improvers_avx2
#include "quantize/lane_table.inc"

#endif
