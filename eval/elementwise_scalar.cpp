#include "eval/elementwise_loops.h"

namespace galatea::kernel {

const Elementwise elementwise_scalar = {norm, gate, add, rotate, log_sum};

const Elementwise& elementwise(Isa isa) {
#if defined(GALATEA_X86)
  if (isa >= Isa::avx512) return elementwise_avx512;
  if (isa == Isa::avx2) return elementwise_avx2;
#endif
  (void)isa;
  return elementwise_scalar;
}

}  // namespace galatea::kernel
