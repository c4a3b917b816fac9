// The product of an adapter's two matrices, to the bit as torch computed it in float32 on a processor.
//
// torch 1.13 hands B @ A to MKL's sgemm. For matrices (more than one row and column) its result is, for every
// element, a chain of fused multiply-adds over the rank, k ascending, starting at zero:
//
//     sum = fma(B[i][k], A[k][j], sum)
//
// Above a rank of 384 the chain is cut into two halves (the first the longer); each starts at zero and the
// sums are added. From 768 up MKL's cuts depend on the shape of the matrices; here they are pieces of 384 and
// the last bits may differ from torch's. Found by experiment with torch 1.13.1 on AVX-512, shapes from 37 to
// 11008 (scripts/oracles/lora_product.py).
//
// Every path here gives those bits, because a fused multiply-add is exactly defined and each element's chain
// is computed in one lane.
#pragma once

#include <cstdint>
#include <span>

#include "format/isa.h"

namespace galatea {

/// Length of the pieces that the chain over `rank` is cut into.
std::uint64_t lora_chain_length(std::uint64_t rank);

/// out[i][j] = sum over k of left[i][k] * right[k][j]: `left` is rows x rank, `right` rank x cols, both
/// row-major. Throws Error(usage) when the sizes of the spans do not fit.
void lora_product(std::span<const float> left, std::span<const float> right, std::span<float> out,
                  std::uint64_t rank, Isa isa = active_isa());

/// The same in float64, the chain not cut: each product of two float32 is exact there, so fused or not gives the
/// same bits.
void lora_product(std::span<const float> left, std::span<const float> right, std::span<double> out,
                  std::uint64_t rank, Isa isa = active_isa());

}  // namespace galatea
