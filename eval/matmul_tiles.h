// The matrix product in bfloat16 parts, tile by tile; matmul() chooses it.
#pragma once

#include <cstdint>
#include <span>

#include "eval/matmul.h"
#include "eval/matmul_tiles_kernel.h"
#include "format/isa.h"

namespace galatea::kernel {

/// As matmul(); `parts` bfloat16 numbers for each value, 1 or 2 (matmul_tiles_kernel.h).
double matmul_tiles(const TileKernel& kernel, std::span<const ProductOf> products, const float* in,
                    std::uint64_t tokens, int threads, std::uint64_t parts, MatmulMemory& memory);

/// Bytes that it takes besides `out`, at most.
std::uint64_t matmul_tiles_bytes(std::uint64_t cols, std::uint64_t tokens, std::uint64_t threads,
                                 std::uint64_t parts);

/// What `isa` has for products of bfloat16; nullptr where it has nothing that is faster than float32.
const TileKernel* tile_kernel(Isa isa);

}  // namespace galatea::kernel
