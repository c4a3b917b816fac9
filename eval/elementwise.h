// What the forward pass does between its products, value by value, compiled for each instruction set: the same bits on
// each, because sums go over lanes of a fixed number and nothing is contracted.
#pragma once

#include <cstdint>

#include "format/isa.h"

namespace galatea::kernel {

struct Elementwise {
  /// out = in / sqrt(mean(in^2) + eps) * weight; the squares are summed in float64, lane l of 16 those of l, l + 16, ...
  void (*norm)(const float* in, const float* weight, std::uint64_t count, double eps, float* out);
  /// gate = gate / (1 + e^-gate) * up.
  void (*gate)(float* gate, const float* up, std::uint64_t count);
  /// to += change.
  void (*add)(float* to, const float* change, std::uint64_t count);
  /// Each pair (first, second) turned by its angle.
  void (*rotate)(float* first, float* second, const float* cosines, const float* sines, std::uint64_t count);
  /// ln of the sum of e^value in float64, in 16 lanes; `largest` of the values is given back too. `count` > 0.
  double (*log_sum)(const float* values, std::uint64_t count, float& largest);
};

const Elementwise& elementwise(Isa isa);

extern const Elementwise elementwise_scalar;
#if defined(GALATEA_X86)
extern const Elementwise elementwise_avx2, elementwise_avx512;
#endif

}  // namespace galatea::kernel
