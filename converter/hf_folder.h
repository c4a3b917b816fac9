// A Hugging Face folder's weights: the order of a state_dict, cut into shards, with the index.
//
//   order   model.embed_tokens, per layer q k v o rotary_emb.inv_freq gate down up input_layernorm
//           post_attention_layernorm, model.norm, lm_head
//   cut     tensors in that order; a new shard starts when the next tensor would push the current one above
//           the limit, even when the current one is still empty (transformers 4.28 then wrote an empty shard)
//   names   pytorch_model-00001-of-00003.bin + pytorch_model.bin.index.json, or pytorch_model.bin alone;
//           model-00001-of-00003.safetensors + model.safetensors.index.json, or model.safetensors alone
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/plan.h"
#include "format/shard_index.h"
#include "format/tensor.h"
#include "format/torch_file.h"

namespace galatea {

enum class HfContainer { bin, safetensors };

/// 10 GB, the default of transformers then.
inline constexpr std::uint64_t default_shard_bytes = 10'000'000'000;

/// "10GB" = 10^10, "10GiB" = 10 * 2^30, likewise KB KiB MB MiB; M and G as llama.cpp has them
/// are MB and GB; a number alone is bytes. Throws Error(usage).
std::uint64_t parse_shard_bytes(std::string_view text);

/// "model.layers.N.self_attn.rotary_emb.inv_freq".
std::string inv_freq_name(std::uint64_t layer);
bool is_inv_freq(std::string_view name);

/// The tensors (Hugging Face names) in the order of a state_dict; those it does not know follow by name.
std::vector<Tensor> in_state_dict_order(std::vector<Tensor> tensors);

struct WeightShard {
  std::string file;
  std::vector<Tensor> tensors;
};

std::vector<WeightShard> shard_weights(std::vector<Tensor> tensors, HfContainer container,
                                       std::uint64_t max_shard_bytes);
ShardIndex index_of(const std::vector<WeightShard>& shards);
std::string_view index_file_name(HfContainer container);

/// The weight files, and the index when there are several. `torch` says whose container .bin files have.
std::vector<FileLayout> hf_weight_files(std::vector<Tensor> tensors, HfContainer container,
                                        std::uint64_t max_shard_bytes,
                                        TorchGeneration torch = TorchGeneration::torch_1_6);

}  // namespace galatea
