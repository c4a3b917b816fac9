// The difference of two models as a LoRA adapter: the way back of a merge.
//
//   tensor of the model         in the adapter
//   matrix of a layer, lm_head  lora_A, lora_B: the best product of that rank (low_rank.h), scaling 1
//   embedding                   lora_embedding_A, lora_embedding_B, likewise
//   norm                        whole, modules_to_save
//   bias                        all biases whole, bias "all"
//   embedding and head with     whole, as PEFT saves those of a resized model
//   another number of tokens
//
// What does not differ is left out. The configuration is one that PEFT reads from 0.4 on (rank_pattern and
// alpha_pattern, for matrices smaller than the rank, from 0.5 on).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "converter/hf_model.h"
#include "converter/low_rank.h"
#include "format/plan.h"
#include "format/progress.h"

namespace galatea {

enum class ExtractedKind { linear, embedding, whole };
std::string_view to_string(ExtractedKind kind);

struct ExtractedTensor {
  std::string name;  ///< in the model: "model.layers.0.mlp.up_proj.weight"
  ExtractedKind kind = ExtractedKind::linear;
  std::uint64_t rank = 0;  ///< 0 for what is stored whole
  Tensor after;            ///< the merged model's
  RowsPtr before;          ///< the base's; nullptr where the shapes differ
  LowRankError error{};    ///< of the factors as they are stored; filled by compute_factors
};

struct ExtractOptions {
  std::uint64_t rank = 0;
  DType type = DType::f32;  ///< of the factors; what is stored whole keeps the merged model's type
  std::string base_name{};  ///< base_model_name_or_path
};

/// What the adapter will hold, in the model's order.
struct Extraction {
  ExtractOptions options;
  std::vector<ExtractedTensor> tensors;
  std::vector<std::string> notes;
  std::string config;  ///< the text of adapter_config.json
};

/// Compares the models; every value is read where nothing differs, else up to the first difference.
/// Throws Error(input) where an adapter cannot tell the difference: another architecture, other tensors, or
/// no difference at all.
Extraction compare_models(const HfModel& base, const HfModel& merged, const ExtractOptions& options,
                          Progress& progress = silent_progress());

/// Receives the factors of tensor number `index`, rounded to the adapter's type: A (rank x in) and B (out x rank).
/// Called by any thread.
using TakeFactors =
    std::function<void(std::size_t index, const std::vector<float>& down, const std::vector<float>& up)>;

/// Factors every difference, one a thread, and fills in the errors. Throws Error.
void compute_factors(Extraction& extraction, const TakeFactors& take, Progress& progress = silent_progress());

/// A and B of a tensor as Rows.
struct FactorRows {
  RowsPtr down, up;
};

/// adapter_model.safetensors and adapter_config.json, as PEFT names what is in them; `factors` per tensor of the
/// extraction (empty for whole ones). For sizes alone the rows need not be readable.
Plan adapter_plan(const Extraction& extraction, const std::vector<FactorRows>& factors);

}  // namespace galatea
