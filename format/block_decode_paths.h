// The decoders of Q4_0 to Q8_0 and of Q2_K to Q6_K for one instruction set. All give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/isa.h"

namespace galatea {

/// Arguments as those of decode_q4_0.
using DecodeBlocks = void (*)(const std::byte* in, float* out, std::uint64_t elements);

struct BlockDecoders {
  DecodeBlocks q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k;
};

/// Those that a processor with `isa` runs fastest.
const BlockDecoders& block_decoders(Isa isa);

/// Only where avx2 is among available_isas().
const BlockDecoders& block_decoders_avx2();

}  // namespace galatea
