// The matrix product for AVX-512: sixteen lanes are one register.
#include "eval/matmul_kernel.h"

#if defined(__AVX512F__)
#include <immintrin.h>

namespace galatea::kernel {
namespace {

struct Avx512Lanes {
  __m512 value;

  static Avx512Lanes zero() { return {_mm512_setzero_ps()}; }
  static Avx512Lanes load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Avx512Lanes load_some(const float* from, int count) {
    const auto mask = static_cast<__mmask16>((1U << static_cast<unsigned>(count)) - 1U);
    return {_mm512_maskz_loadu_ps(mask, from)};
  }
  static Avx512Lanes madd(const Avx512Lanes& a, const Avx512Lanes& b, const Avx512Lanes& sum) {
    return {_mm512_fmadd_ps(a.value, b.value, sum.value)};
  }
  void store(float* to) const { _mm512_storeu_ps(to, value); }
};

}  // namespace

void tile_avx512(const Operands& operands) { tile<Avx512Lanes, 4, 5>(operands); }

}  // namespace galatea::kernel
#endif
