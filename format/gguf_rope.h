// How a LLaMA in GGUF stretches its rotary embedding, as llama.cpp reads and its converter writes it.
//
//   llama.rope.scaling.type                     str  none, linear (default); yarn, longrope are refused by name
//   llama.rope.scaling.factor                   f32  positions are divided by it
//   llama.rope.scale_linear                     f32  the same, in older files
//   llama.rope.scaling.original_context_length  u32
//   rope_freqs.weight                           F32 tensor of head_dim / 2: each frequency is divided by its factor
//
// Llama 3.1 and later have the tensor and no keys: its factors are those that rope_scaling "llama3" (llama_config.h) makes of
// the frequencies. Which original_context that was is found by trying: the key's, else powers of two, with 1 and 4 as low and
// high frequency factor, which all of Meta's models have. Factors of another origin are refused.
//
//   llama.attention.sliding_window              u32  a token sees so many, itself included; 0: all before it
//
// Source: hparams of llama-model.cpp and generate_extra_tensors of convert_hf_to_gguf.py in llama.cpp.
#pragma once

#include <vector>

#include "format/gguf.h"
#include "format/llama_config.h"

namespace galatea {

inline constexpr const char* rope_factors_name = "rope_freqs.weight";

/// The number that was meant by a float32 of the metadata: the shortest decimal that gives it, 1e-06 and not
/// 9.999999974752427e-07.
double meant_decimal(double stored);

/// What each frequency is divided by under a scaling of kind llama3, in float32.
std::vector<float> llama3_rope_factors(const LlamaConfig& config);

/// Fills in rope_scaling and sliding_window; rope_theta, head_dim and context are there. Throws Error(input), by name, for
/// what is not known.
void read_gguf_attention(const GgufFile& file, LlamaConfig& config);

}  // namespace galatea
