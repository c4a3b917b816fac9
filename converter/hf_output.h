// A whole Hugging Face folder from a model: weights, index, configuration, tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "converter/counted_cast.h"
#include "converter/hf_folder.h"
#include "converter/hf_model.h"
#include "format/plan.h"

namespace galatea {

struct HfOutputOptions {
  HfContainer container = HfContainer::safetensors;
  /// All floating tensors, rotary buffers too, as .half() of a model does; else each keeps its type,
  /// quantized ones become F16.
  std::optional<DType> type{};
  std::uint64_t max_shard_bytes = default_shard_bytes;
  std::string name_or_path{};                ///< put into config.json as _name_or_path unless empty
  std::filesystem::path tokenizer{};         ///< a tokenizer.model instead of the source's; empty: none
  std::filesystem::path tokenizer_folder{};  ///< its tokenizer files win, file by file; empty: none
};

struct HfOutput {
  Plan plan;
  std::shared_ptr<CastLosses> losses;  ///< counted while the plan is written
  std::vector<std::string> notes;      ///< for people: what could not be carried over
};

/// `source` is what `model` came from. From a Hugging Face folder the side files are carried over
/// (config.json with torch_dtype brought in step); from others they are written as transformers 4.28 would:
/// the tokenizer from tokenizer.model, which is made anew from the vocabulary of a GGUF.
HfOutput hf_output(const Checkpoint& source, HfModel model, const HfOutputOptions& options);

/// Copies of the tokenizer's files in `folder`, in place of those of the same names in the plan.
void carry_tokenizer(const std::filesystem::path& folder, Plan& plan);

}  // namespace galatea
