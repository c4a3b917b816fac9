#include "quantize/lane_table.h"

#if defined(__x86_64__)

#define GALATEA_LANE_COUNT 16
#define GALATEA_LANE_ENCODERS lane_encoders_avx512
#define GALATEA_LANE_IMPROVERS lane_improvers_avx512
#include "quantize/lane_table.inc"

#endif
