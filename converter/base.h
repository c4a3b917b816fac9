// Meta's release of LLaMA -> the Hugging Face folder that the XOR releases were made against.
//
// Byte for byte what convert_llama_weights_to_hf.py of transformers 4.28 left: tensor-parallel shards joined,
// rows of q and k permuted for rotation by halves, everything in float16, the rotary buffers that the models
// of that time stored, shards of at most 10 GB in the container of torch 1.13, index and side files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "converter/hf_folder.h"
#include "converter/hf_side_files.h"
#include "format/checkpoint.h"
#include "format/llama_tensors.h"
#include "format/plan.h"

namespace galatea {

struct BaseOptions {
  HfGeneration generation = hf_generations().front();
  std::uint64_t max_shard_bytes = default_shard_bytes;
};

/// 1 / theta^(2i/head_dim) for i in [0, head_dim/2), computed in float32 as torch does, then rounded to
/// float16 and back: the converter loaded the whole model as float16 before it saved the buffers.
std::vector<float> rotary_inv_freq(std::uint64_t head_dim, double theta);

/// The tensors of the state_dict in its order. `get` gives a weight with rotary rows split by halves.
std::vector<Tensor> base_state_dict(const LlamaConfig& config, DType inv_freq_type,
                                    const std::function<Tensor(LlamaTensorId)>& get);

/// The configuration that the converter wrote: ids 1, 2 and padding 0 whatever the tokenizer says,
/// context 2048.
LlamaConfig base_config(LlamaConfig config);

/// The whole folder. `source` is a Meta folder, or any LLaMA whose weights are to be written so.
/// Throws Error(input) when it has no tokenizer.model.
Plan base_plan(const Checkpoint& source, const BaseOptions& options);

/// Meta's folder without its weights: what params.json and tokenizer.model (there or one folder up) alone say.
struct MetaTables {
  LlamaConfig config;  ///< vocabulary of the tokenizer, feed-forward size by the formula
  std::filesystem::path tokenizer;
};
MetaTables read_meta_tables(const std::filesystem::path& folder);

/// The same folder as base_plan's, known to the byte except for the values of the weights: reading those
/// throws Error(usage). For sizes, and for the side files.
Plan base_plan_of_shapes(const MetaTables& meta, const BaseOptions& options);

/// The plan without its weights: index, configuration and tokenizer.
Plan side_files_of(Plan plan);

/// "LLaMA 13B", or layers and width where there is no such release.
std::string name_of_size(const LlamaConfig& config);

/// Weight files of a base by their sizes: "LLaMA 13B, torch 1.6 to 2.0, 4-byte rotary buffers" when every one
/// of `sizes` (of the shards in order) is what these shapes give in one generation; empty when none fits.
std::string recognise_base(const LlamaConfig& config, const std::vector<std::uint64_t>& sizes,
                           std::uint64_t max_shard_bytes = default_shard_bytes);

}  // namespace galatea
