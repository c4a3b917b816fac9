#include "eval/elementwise_loops.h"

#if defined(GALATEA_X86)
namespace galatea::kernel {

const Elementwise elementwise_avx512 = {norm, gate, add, rotate, log_sum};

}  // namespace galatea::kernel
#endif
