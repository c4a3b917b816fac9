// Adapters merged into a model: the plan of it, tensor by tensor.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "converter/hf_model.h"
#include "converter/lora_adapter.h"

namespace galatea {

/// "PATH" or "PATH:SCALE".
struct AdapterArgument {
  std::filesystem::path path;
  double scale = 1;
};
/// What stands behind the last colon is the scale when it is a number and no such path exists.
/// Throws Error(usage) for a scale that is not finite.
AdapterArgument parse_adapter_argument(std::string_view text);

struct MergedTensor {
  std::string name;
  std::uint64_t rank;
  double scaling;  ///< alpha/r or alpha/sqrt(r), times the scale of the argument
  bool embedding;
};

/// Replaces the model's tensors that `adapter` changes by merged rows (float32) and says which those are.
/// Throws Error(input), listing them, when modules of the adapter are not in the model, or when the model
/// ties its head to the embedding and the adapter changes one of the two.
std::vector<MergedTensor> merge_adapter(HfModel& model, const LoraAdapter& adapter, double scale);

/// One line: which arithmetic merge_adapter() follows.
std::string_view merge_arithmetic();

}  // namespace galatea
