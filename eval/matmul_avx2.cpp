// The matrix product for AVX2 and FMA: sixteen lanes are two registers.
#include "eval/matmul_kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace galatea::kernel {
namespace {

struct Avx2Lanes {
  __m256 low, high;

  static Avx2Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Avx2Lanes load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static Avx2Lanes load_some(const float* from, int count) {
    float padded[kLanes] = {};
    for (int i = 0; i < count; ++i) padded[i] = from[i];
    return load(padded);
  }
  static Avx2Lanes madd(const Avx2Lanes& a, const Avx2Lanes& b, const Avx2Lanes& sum) {
    return {_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)};
  }
  void store(float* to) const {
    _mm256_storeu_ps(to, low);
    _mm256_storeu_ps(to + 8, high);
  }
};

}  // namespace

void tile_avx2(const Operands& operands) { tile<Avx2Lanes, 2, 3>(operands); }

}  // namespace galatea::kernel
#endif
