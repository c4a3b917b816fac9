// The angles of the rotary embedding, with the scalings of format/llama_config.h, computed in float32 as transformers
// does.
#pragma once

#include <cstdint>
#include <vector>

#include "format/llama_config.h"

namespace galatea {

/// One frequency for each pair: head_dim / 2. `length` is that of the windows (dynamic scaling asks for it).
std::vector<float> rotary_frequencies(const LlamaConfig& config, std::uint64_t length);

}  // namespace galatea
