// Which instructions of the processor the fast paths use: chosen once at run time, or forced by GALATEA_ISA.
#pragma once

#include <span>
#include <string_view>

namespace galatea {

/// Each includes those before it. scalar runs everywhere; avx2 means AVX2 and FMA, avx512 AVX-512 F, BW, DQ
/// and VL, avx512_bf16 also AVX-512 BF16, amx also AMX tiles with bfloat16.
enum class Isa { scalar, avx2, avx512, avx512_bf16, amx };

constexpr Isa all_isas[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

std::string_view to_string(Isa isa);

/// The best that this processor and operating system offer.
Isa best_isa();

/// best_isa(), or what the environment variable GALATEA_ISA (scalar|avx2|avx512|avx512_bf16|amx) says. Read once. Throws
/// Error(usage) when it names something unknown or something that the processor does not have.
Isa active_isa();

/// Every path that this processor can run, for tests.
std::span<const Isa> available_isas();

}  // namespace galatea
