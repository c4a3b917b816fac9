#include "quantize/block_encode.h"

#include "format/isa.h"

#define GALATEA_LANES inline
#include "quantize/block_encode_lanes.inc"

namespace galatea {

const BlockEncoders& block_encoders_portable() {
  static constexpr BlockEncoders encoders{encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0};
  return encoders;
}

const BlockEncoders& block_encoders() {
  static const BlockEncoders& chosen = []() -> const BlockEncoders& {
    const BlockEncoders* avx2 = block_encoders_avx2();
    return avx2 != nullptr && active_isa() >= Isa::avx2 ? *avx2 : block_encoders_portable();
  }();
  return chosen;
}

}  // namespace galatea
