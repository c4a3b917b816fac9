#include "format/block_decode_small.h"

#include <bit>

#include "format/block_bytes.h"

namespace galatea {
namespace {

/// `trits` of each of `count` bytes: trit n of byte l goes to out[count * n + l].
void put_trits(const std::uint8_t* bytes, unsigned count, unsigned trits, float d, float* out) {
  unsigned power = 1;
  for (unsigned n = 0; n < trits; ++n, power *= 3) {
    for (unsigned l = 0; l < count; ++l) {
      const unsigned trit = ((bytes[l] * power & 255U) * 3) >> 8U;
      out[count * n + l] = static_cast<float>(static_cast<int>(trit) - 1) * d;
    }
  }
}

}  // namespace

void decode_tq1_0(const std::byte* in, float* out, std::uint64_t elements) {
  for_blocks<256, 54>(in, out, elements, [](const std::uint8_t* block, float* values) {
    const float d = load_f16(block + 52);
    put_trits(block, 32, 5, d, values);
    put_trits(block + 32, 16, 5, d, values + 160);
    put_trits(block + 48, 4, 4, d, values + 240);
  });
}

void decode_tq2_0(const std::byte* in, float* out, std::uint64_t elements) {
  for_blocks<256, 66>(in, out, elements, [](const std::uint8_t* block, float* values) {
    const float d = load_f16(block + 64);
    for (unsigned half = 0; half < 2; ++half) {
      for (unsigned part = 0; part < 4; ++part) {
        for (unsigned l = 0; l < 32; ++l) {
          const int trit = (block[32 * half + l] >> (2 * part)) & 3;
          values[128 * half + 32 * part + l] = static_cast<float>(trit - 1) * d;
        }
      }
    }
  });
}

float mxfp4_scale(std::uint8_t exponent) {
  const std::uint32_t bits =
      exponent < 2 ? std::uint32_t{0x00200000} << exponent : std::uint32_t{exponent - 1U} << 23U;
  return std::bit_cast<float>(bits);
}

void decode_mxfp4(const std::byte* in, float* out, std::uint64_t elements) {
  for_blocks<32, 17>(in, out, elements, [](const std::uint8_t* block, float* values) {
    const float d = mxfp4_scale(block[0]);
    for (unsigned l = 0; l < 16; ++l) {
      values[l] = static_cast<float>(mxfp4_levels[block[1 + l] & 15U]) * d;
      values[l + 16] = static_cast<float>(mxfp4_levels[block[1 + l] >> 4U]) * d;
    }
  });
}

}  // namespace galatea
