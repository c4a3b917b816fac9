#include "quantize/block_encode.h"

#include <cstdlib>
#include <string_view>

#define GALATEA_LANES inline
#include "quantize/block_encode_lanes.h"

namespace galatea {

const BlockEncoders& block_encoders_portable() {
  static constexpr BlockEncoders encoders{encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0};
  return encoders;
}

const BlockEncoders& block_encoders() {
  static const BlockEncoders& chosen = []() -> const BlockEncoders& {
    const char* isa = std::getenv("GALATEA_ISA");
    const BlockEncoders* avx2 = block_encoders_avx2();
    const bool portable = avx2 == nullptr || (isa != nullptr && std::string_view(isa) == "scalar");
    return portable ? block_encoders_portable() : *avx2;
  }();
  return chosen;
}

}  // namespace galatea
