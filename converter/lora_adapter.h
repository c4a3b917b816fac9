// A LoRA adapter as PEFT saves it: adapter_config.json + adapter_model.safetensors or adapter_model.bin.
//
//   tensor name                                                   shape
//   base_model.model.MODULE.lora_A.weight                         rank x in       linear layers
//   base_model.model.MODULE.lora_B.weight                         out x rank
//   base_model.model.MODULE.lora_embedding_A                      rank x vocab    embeddings
//   base_model.model.MODULE.lora_embedding_B                      dim x rank
//   ... with ".default" (the adapter's name) before the last part: as training checkpoints have them
//
//   scaling = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora
//
// Whatever an adapter says that is not understood here is an Error, never passed over: a merge that leaves
// something out gives wrong weights and no sign of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/tensor.h"

namespace galatea {

struct LoraConfig {
  std::uint64_t rank = 0;
  double scaling = 1;
  bool fan_in_fan_out = false;  ///< read for what it says; without effect on torch.nn.Linear, as in PEFT
};

/// Throws Error(input) for another kind of adapter, for values that make no sense (rank 0, alpha not a
/// number) and, listing them, for settings that change the weights in a way this merge does not know.
LoraConfig lora_config(const nlohmann::json& config, const std::filesystem::path& file);

struct LoraTarget {
  std::string module;  ///< "model.layers.0.self_attn.q_proj"
  Tensor down, up;     ///< A and B
  bool embedding = false;
};

struct LoraAdapter {
  std::filesystem::path path;
  LoraConfig config;
  std::vector<LoraTarget> targets;  ///< by module name
};

/// Reads a folder of the two files. No weights are read but their tables. Throws Error(input); tensors that
/// are no part of a LoRA, or miss their counterpart, are listed.
LoraAdapter read_lora_adapter(const std::filesystem::path& folder);

}  // namespace galatea
