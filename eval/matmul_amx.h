// The matrix product in bfloat16 parts on AMX tiles; matmul() chooses it.
#pragma once

#include <cstdint>

#include "format/rows.h"

namespace galatea::kernel {

/// As matmul(); `parts` bfloat16 numbers for each value, 1 or 2 (matmul_amx_kernel.h). Needs Isa::amx.
void matmul_amx(const Rows& weight, const float* in, std::uint64_t tokens, float* out, int threads,
                std::uint64_t parts);

}  // namespace galatea::kernel
