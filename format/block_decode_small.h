// The ternary types and MXFP4 of GGUF: their bytes, and float32 out of them.
//
//   type   elements  bytes  layout                               value of an element
//   TQ1_0       256     54  trits[48], rest[4], d F16            d * (t - 1), t of 0 1 2
//   TQ2_0       256     66  two bits[64], d F16                  d * (t - 1), t of 0 ... 3
//   MXFP4        32     17  exponent e, nibbles[16]              2^(e - 128) * level (0 1 2 3 4 6 8 12, bit 3: -)
//
// A byte of trits holds five as a fraction: with b the byte, trit n (the first is 0) is the whole part of
// 3 * (b * 3^n mod 256) / 256. Bytes 0-31 hold elements 32 n + l in byte l, bytes 32-47 elements
// 160 + 16 n + l, the four of rest elements 240 + 4 n + l (n < 4). TQ2_0: byte 32 h + l holds elements
// 128 h + l + 0, 32, 64 and 96, lowest bits first. MXFP4: byte l holds elements l (low) and 16 + l (high); for
// e < 2 the power of two is subnormal. Source: block_tq*, block_mxfp4 and dequantize_row_* of ggml; MXFP4:
// OCP Microscaling Formats 1.0, whose values are half of the levels times 2^(e - 127).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace galatea {

/// `elements` is a multiple of the block length; `in` needs no alignment.
void decode_tq1_0(const std::byte* in, float* out, std::uint64_t elements);
void decode_tq2_0(const std::byte* in, float* out, std::uint64_t elements);
void decode_mxfp4(const std::byte* in, float* out, std::uint64_t elements);

/// The levels of MXFP4 by code.
inline constexpr std::array<std::int8_t, 16> mxfp4_levels{0, 1,  2,  3,  4,  6,  8,  12,
                                                          0, -1, -2, -3, -4, -6, -8, -12};

/// 2^(exponent - 128), exact.
float mxfp4_scale(std::uint8_t exponent);

}  // namespace galatea
