// The quantized blocks of GGUF that galatea knows: their bytes, and float32 out of them.
//
//   type   bytes  layout (all of 32 elements)                       value of element j
//   Q4_0      18  d F16, nibbles[16]                                 d * (q - 8)
//   Q4_1      20  d F16, m F16, nibbles[16]                          d * q + m
//   Q5_0      22  d F16, high bits u32, nibbles[16]                  d * (q - 16)
//   Q5_1      24  d F16, m F16, high bits u32, nibbles[16]           d * q + m
//   Q8_0      34  d F16, i8[32]                                      d * q
//
// Byte j of `nibbles` holds element j in its low and element j + 16 in its high half; bit j of `high bits` is
// bit 4 of element j. d * q is exact in float32 (11 + 8 bits), so d * q + m is rounded once, with or
// without a fused multiply-add. Source: block_q* and dequantize_row_q* of ggml.
#pragma once

#include <cstddef>
#include <cstdint>

namespace galatea {

inline constexpr std::uint32_t legacy_block_length = 32;

/// `elements` is a multiple of 32; `in` needs no alignment.
void decode_q4_0(const std::byte* in, float* out, std::uint64_t elements);
void decode_q4_1(const std::byte* in, float* out, std::uint64_t elements);
void decode_q5_0(const std::byte* in, float* out, std::uint64_t elements);
void decode_q5_1(const std::byte* in, float* out, std::uint64_t elements);
void decode_q8_0(const std::byte* in, float* out, std::uint64_t elements);

}  // namespace galatea
