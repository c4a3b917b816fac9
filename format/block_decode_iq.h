// The i-quants of GGUF: their bytes, and float32 out of them. Grids and signs are those of format/iq_grids.h.
//
//   type     elements  bytes  layout                                              value of an element
//   IQ2_XXS       256     66  d F16; for each 32: indexes[4], u32                 d * (s + 0.5) / 4 * +-g
//   IQ2_XS        256     74  d F16, u16[32], scales[8]                           the same, s per 16
//   IQ2_S         256     82  d F16, indexes[32], signs[32], high[8], scales[8]   the same, s per 16
//   IQ3_XXS       256     98  d F16, indexes[64], u32[8]                          d * (s + 0.5) / 2 * +-g
//   IQ3_S         256    110  d F16, indexes[64], high[8], signs[32], scales[4]   d * (1 + 2 s) * +-g
//   IQ1_S         256     50  d F16, indexes[32], u16[8]                          d * (1 + 2 s) * (g +- 1/8)
//   IQ1_M         256     56  indexes[32], high[16], u16[4]                       the same, s per 16
//   IQ4_NL         32     18  d F16, nibbles[16]                                  d * level
//   IQ4_XS        256    136  d F16, high u16, scales[4], nibbles[128]            d * (s - 32) * level
//
// An index stands for 8 elements, in IQ3 for 4. Where not said otherwise one scale s serves 32 elements.
//   IQ2_XXS, IQ3_XXS  u32: signs of 8 elements each as 7 bits (iq_even_signs) from bit 0, s in bits 28-31
//   IQ2_XS            u16: index in bits 0-8, 7 bits of signs from bit 9; scales: low nibble for the first 16
//   IQ2_S             high: bits 8-9 of the four indexes, lowest first; signs: a bit for each element
//   IQ3_S             high: bit 8 of the eight indexes; signs as IQ2_S; scales: low nibble for the first 32
//   IQ1_S             u16: bits 8-10 of four indexes at 0, 3, 6, 9; s in bits 12-14; bit 15 makes it - 1/8
//   IQ1_M             high, a nibble for each index: bits 8-10, and 8 for - 1/8; u16: four s of 3 bits; their
//                     highest nibbles make d (F16), lowest first
//   IQ4_NL, IQ4_XS    nibbles: byte 16 c + l holds elements 32 c + l (low) and 32 c + 16 + l (high);
//                     scales: low nibbles of s, high: bits 4-5, both lowest first
//
// An index can have no value without a point, so every pattern of bytes decodes. Source: block_iq* and
// dequantize_row_iq* of ggml.
#pragma once

#include <cstddef>
#include <cstdint>

namespace galatea {

/// `elements` is a multiple of the block length; `in` needs no alignment.
void decode_iq2_xxs(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq2_xs(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq2_s(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq3_xxs(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq3_s(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq1_s(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq1_m(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq4_nl(const std::byte* in, float* out, std::uint64_t elements);
void decode_iq4_xs(const std::byte* in, float* out, std::uint64_t elements);

}  // namespace galatea
