// A LLaMA ready to run: its weights by role in the half-split rotary layout, still stored as they
// are on disk.
#pragma once

#include <vector>

#include "format/checkpoint.h"
#include "format/llama_tensors.h"

namespace galatea {

struct LlamaLayer {
  std::vector<float> attn_norm, ffn_norm;  ///< [hidden]
  RowsPtr q, k, v, o, gate, up, down;
};

struct LlamaModel {
  LlamaConfig config;
  RowsPtr embedding, output;      ///< [vocab, hidden]
  std::vector<float> final_norm;  ///< [hidden]
  std::vector<LlamaLayer> layers;
};

/// Finds and checks every tensor; only the norms are read. Throws Error(input).
LlamaModel load_model(const Checkpoint& checkpoint);

}  // namespace galatea
