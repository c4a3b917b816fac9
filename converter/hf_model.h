// A LLaMA as converters hand it on: Hugging Face names, rotary rows split by halves, order of a state_dict.
#pragma once

#include <vector>

#include "format/checkpoint.h"
#include "format/tensor.h"

namespace galatea {

struct HfModel {
  LlamaConfig config;
  /// Weights by role, the rotary buffers (inv_freq) if they are stored, and what else the checkpoint holds.
  /// A tied head that is not stored is not here.
  std::vector<Tensor> tensors;
};

/// Throws Error(input) when weights are missing or of wrong shape, and, listing them, for tensors of Meta and
/// GGUF files that are no part of a LLaMA (Meta's rope.freqs apart, which the configuration implies).
HfModel hf_model(const Checkpoint& checkpoint);

/// The tensor of that name, or nullptr.
Tensor* find_tensor(HfModel& model, std::string_view name);

}  // namespace galatea
