// Sixteen by sixteen words of 32 bits change places. Static: each matmul_tiles_<isa>.cpp keeps its own.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace galatea::kernel {

/// out[c][r] = in[r][c]; rows lie `in_stride` and `out_stride` words apart.
static inline void transpose16(const void* from, std::uint64_t in_stride, void* to,
                               std::uint64_t out_stride) {
  const auto* const in = static_cast<const char*>(from);
  auto* const out = static_cast<char*>(to);
  in_stride *= 4;
  out_stride *= 4;
#if defined(__AVX512F__)
  // Pairs of rows, then fours, within each quarter of a register; then the quarters of four rows, and of all.
  // (The forms with a mask: GCC 12 takes the others for uses of something that was never set.)
  constexpr __mmask16 all = 0xFFFF;
  constexpr __mmask8 all8 = 0xFF;
  __m512i a[16];
  __m512i b[16];
  for (std::uint64_t r = 0; r < 16; ++r) a[r] = _mm512_loadu_si512(in + r * in_stride);
  for (int r = 0; r < 16; r += 2) {
    b[r] = _mm512_maskz_unpacklo_epi32(all, a[r], a[r + 1]);
    b[r + 1] = _mm512_maskz_unpackhi_epi32(all, a[r], a[r + 1]);
  }
  for (int r = 0; r < 16; r += 4) {
    a[r] = _mm512_maskz_unpacklo_epi64(all8, b[r], b[r + 2]);
    a[r + 1] = _mm512_maskz_unpackhi_epi64(all8, b[r], b[r + 2]);
    a[r + 2] = _mm512_maskz_unpacklo_epi64(all8, b[r + 1], b[r + 3]);
    a[r + 3] = _mm512_maskz_unpackhi_epi64(all8, b[r + 1], b[r + 3]);
  }
  for (int r = 0; r < 16; r += 8) {
    for (int i = 0; i < 4; ++i) {
      b[r + i] = _mm512_maskz_shuffle_i32x4(all, a[r + i], a[r + i + 4], 0x88);
      b[r + i + 4] = _mm512_maskz_shuffle_i32x4(all, a[r + i], a[r + i + 4], 0xDD);
    }
  }
  for (std::uint64_t c = 0; c < 8; ++c) {
    _mm512_storeu_si512(out + c * out_stride, _mm512_maskz_shuffle_i32x4(all, b[c], b[c + 8], 0x88));
    _mm512_storeu_si512(out + (c + 8) * out_stride, _mm512_maskz_shuffle_i32x4(all, b[c], b[c + 8], 0xDD));
  }
#else
  for (std::uint64_t c = 0; c < 16; ++c) {
    for (std::uint64_t r = 0; r < 16; ++r)
      __builtin_memcpy(out + c * out_stride + 4 * r, in + r * in_stride + 4 * c, 4);
  }
#endif
}

}  // namespace galatea::kernel
