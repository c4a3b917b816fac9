// The K-quants of GGUF, blocks of 256 elements: their bytes, and float32 out of them.
//
//   type  bytes  layout                                                              value of an element
//   Q2_K     84  scales[16], two bits[64], d F16, dmin F16      per 16: d * (s & 15) * q - dmin * (s >> 4)
//   Q3_K    110  high bits[32], two bits[64], scales[12], d     per 16: d * (s - 32) * (q - 4)
//   Q4_K    144  d F16, dmin F16, scales[12], nibbles[128]      per 32: d * s * q - dmin * m
//   Q5_K    176  d F16, dmin F16, scales[12], high bits[32], nibbles[128]         as Q4_K, q of 5 bits
//   Q6_K    210  nibbles[128], two bits[64], scales i8[16], d   per 16: d * s * (q - 32)
//
// two bits, of Q2_K, Q3_K (low bits) and Q6_K (bits 4 and 5): byte 32 h + l holds elements 128 h + l + 0, 32,
// 64 and 96, lowest bits first. high bits, of Q3_K and Q5_K: byte l holds elements l + 0, 32 ... 224, lowest
// bit first. nibbles of Q4_K and Q5_K: byte 32 c + l holds elements 64 c + l (low) and 64 c + 32 + l (high);
// of Q6_K: byte 64 h + l holds 128 h + l and 128 h + 64 + l.
//
// The 12 bytes of scales hold, in Q3_K, 16 scales of 6 bits: scale j has its low half in byte j % 8 (low
// nibble for j < 8), its high two bits in byte 8 + j % 4 at bit 2 * (j / 4). In Q4_K and Q5_K they hold 8
// scales s and 8 minima m of 6 bits: for j < 4 bits 0-5 of bytes j (s) and 4 + j (m); for the others low and
// high nibble of byte 4 + j, with bits 4-5 in the highest two bits of bytes j - 4 (s) and j (m).
//
// Products of scale and code are exact in float32, so one rounding remains, with or without a fused
// multiply-add. Source: block_q*_K and dequantize_row_q*_K of ggml.
#pragma once

#include <cstddef>
#include <cstdint>

namespace galatea {

inline constexpr std::uint32_t super_block_length = 256;

/// `elements` is a multiple of 256; `in` needs no alignment.
void decode_q2_k(const std::byte* in, float* out, std::uint64_t elements);
void decode_q3_k(const std::byte* in, float* out, std::uint64_t elements);
void decode_q4_k(const std::byte* in, float* out, std::uint64_t elements);
void decode_q5_k(const std::byte* in, float* out, std::uint64_t elements);
void decode_q6_k(const std::byte* in, float* out, std::uint64_t elements);

}  // namespace galatea
