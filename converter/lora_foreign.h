// Adapters of other tools.
//
//   what                     recognised by                                 scaling
//   GGUF (llama.cpp)         a GGUF file with general.type "adapter"        adapter.lora.alpha / rank, 1 for alpha 0
//   ggla (llama.cpp, 2023)   magic "algg"                                   alpha / r of its header
//   MLX                      adapters.safetensors beside adapter_config     lora_parameters.scale
//   kohya                    a file with tensors ...lora_down.weight        .alpha / rank, 1 without
//
// All become what PEFT would have saved: Hugging Face names, A as rank x in, B as out x rank. What is stored transposed
// (MLX, ggla's A, GGUF's A of the embedding) is turned in memory.
#pragma once

#include <filesystem>

#include "converter/lora_adapter.h"

namespace galatea {

/// Tensors BASE.lora_a and BASE.lora_b with llama.cpp's names; rows of B of q and k lie as in GGUF. Other tensors (norms)
/// replace the base's.
LoraAdapter read_gguf_adapter(const std::filesystem::path& file);

///   bytes   what (little-endian)
///   4       "algg"
///   4       version, 1
///   4 4     r, alpha
///   ...     tensors: rank of the tensor, length of the name, type (0 F32, 1 F16), 4 bytes each; extents innermost first;
///           name "layers.N.attention.wq.weight.loraA"; zeros up to a multiple of 32; data
///
/// A is stored transposed. Rows of q and k are as Hugging Face has them: the script that wrote such files left them so.
LoraAdapter read_ggla_adapter(const std::filesystem::path& file);

LoraAdapter read_mlx_adapter(const std::filesystem::path& folder);

LoraAdapter read_kohya_adapter(const std::filesystem::path& file);

/// Is it one of kohya's, or LyCORIS's?
bool has_kohya_names(const std::vector<Tensor>& tensors);

}  // namespace galatea
