#include "quantize/block_encode.h"

#if defined(__x86_64__)

#define GALATEA_LANES __attribute__((target("avx2"))) inline
#include "quantize/block_encode_lanes.inc"

namespace galatea {

const BlockEncoders* block_encoders_avx2() {
  static constexpr BlockEncoders encoders{encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0};
  return __builtin_cpu_supports("avx2") != 0 ? &encoders : nullptr;
}

}  // namespace galatea

#else

namespace galatea {

const BlockEncoders* block_encoders_avx2() { return nullptr; }

}  // namespace galatea

#endif
