// A model without some of its layers: their tensors go, those behind them move up, and the number of layers in
// the metadata is that of the rest. As --prune-layers of llama-quantize.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>

#include "format/gguf_llama.h"
#include "quantize/quantize_model.h"

namespace galatea {

/// "3", "1,5", "20-23,30". Throws Error(usage).
std::set<std::uint64_t> parse_layers(std::string_view text);

/// The importance of a layer moves with it. Throws Error(usage) for a layer that the model has not, and when no
/// layer would be left.
void prune_layers(GgufModel& model, ImportanceMatrix& importance, const std::set<std::uint64_t>& layers);

}  // namespace galatea
