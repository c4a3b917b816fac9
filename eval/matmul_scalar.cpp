// The matrix product for any processor.
#include "eval/matmul_kernel.h"

namespace galatea::kernel {
namespace {

struct ScalarLanes {
  float lane[kLanes];

  static ScalarLanes zero() { return {}; }
  static ScalarLanes load(const float* from) { return load_some(from, kLanes); }
  static ScalarLanes load_some(const float* from, int count) {
    ScalarLanes out{};
    for (int i = 0; i < count; ++i) out.lane[i] = from[i];
    return out;
  }
  static ScalarLanes madd(const ScalarLanes& a, const ScalarLanes& b, const ScalarLanes& sum) {
    ScalarLanes out;
    for (int i = 0; i < kLanes; ++i) out.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], sum.lane[i]);
    return out;
  }
  void store(float* to) const {
    for (int i = 0; i < kLanes; ++i) to[i] = lane[i];
  }
};

}  // namespace

void tile_scalar(const Operands& operands) { tile<ScalarLanes, 1, 1>(operands); }

}  // namespace galatea::kernel
