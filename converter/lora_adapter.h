// A LoRA adapter as the merge sees it, whatever it was stored as.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "converter/lora_config.h"
#include "format/tensor.h"

namespace galatea {

/// A low-rank change of one weight.
struct LoraTarget {
  std::string module;      ///< "model.layers.0.self_attn.q_proj"
  Tensor down, up;         ///< A (rank x in) and B (out x rank)
  bool embedding = false;  ///< the weight is stored (in, out)
  std::uint64_t rank = 0;
  double scaling = 1;                 ///< alpha/r or alpha/sqrt(r)
  std::optional<Tensor> magnitude{};  ///< DoRA: the length of each output's weights
  std::optional<Tensor> up_bias{};    ///< lora_bias: scaling times it is added to the module's bias
  bool rotary_interleaved = false;    ///< rows of B lie as GGUF has those of q and k
  bool parameter = false;             ///< of target_parameters
};

/// A tensor that takes the place of the base's.
struct LoraReplacement {
  std::string name;  ///< as in the model: "lm_head.weight"
  Tensor tensor;
};

/// Rows that take the place of some of the base's.
struct LoraTokens {
  std::string module;
  std::vector<std::uint64_t> ids;
  Tensor rows;
};

struct LoraAdapter {
  std::filesystem::path path;
  std::string format = "PEFT";
  LoraConfig config;
  std::vector<LoraTarget> targets;  ///< by module name
  std::vector<LoraReplacement> replaced;
  std::vector<LoraTokens> tokens;
  std::vector<std::string> unused;  ///< settings and tensors that are not understood, for people
};

/// Recognises what `path` is: a folder as PEFT saves it, a training checkpoint, or a file of another tool
/// (see lora_foreign.h). No weights are read but their tables. Throws Error(input).
LoraAdapter read_lora_adapter(const std::filesystem::path& path);

/// A folder with adapter_config.json and adapter_model.safetensors or .bin:
///
///   tensor name                                                   shape
///   base_model.model.MODULE.lora_A.weight                         rank x in       linear layers
///   base_model.model.MODULE.lora_B.weight                         out x rank
///   base_model.model.MODULE.lora_B.bias                           out             lora_bias
///   base_model.model.MODULE.lora_embedding_A                      rank x vocab    embeddings
///   base_model.model.MODULE.lora_embedding_B                      dim x rank
///   base_model.model.MODULE.lora_magnitude_vector[.weight]        out             DoRA
///   base_model.model.MODULE.token_adapter.trainable_tokens_delta  ids x dim
///   base_model.model.MODULE[.base_layer].weight, .bias            as the base's: modules_to_save, targeted
///                                                                 or resized embeddings, trained biases
///   ... with ".default" (the adapter's name) before the last part, or MODULE.modules_to_save.default.weight:
///   as training checkpoints have them
///
/// A training checkpoint (checkpoint-N) without adapter_model.* may hold the model's whole state as pytorch_model.bin or
/// model.safetensors, its adapter_config.json there or one folder up: of that state the base's own weights are left aside.
LoraAdapter read_peft_adapter(const std::filesystem::path& folder);

}  // namespace galatea
