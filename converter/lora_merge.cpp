#include "converter/lora_merge.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "converter/lora_rows.h"
#include "format/error.h"
#include "format/llama_tensors.h"

namespace galatea {

AdapterArgument parse_adapter_argument(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon != std::string_view::npos && colon > 0 && !std::filesystem::exists(text, ignored)) {
    double scale = 0;
    const auto [end, code] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), scale);
    if (code == std::errc() && end == text.data() + text.size()) {
      if (!std::isfinite(scale))
        throw Error(ErrorKind::usage, "the scale of an adapter has to be finite")
            .found(text.substr(colon + 1));
      return {text.substr(0, colon), scale};
    }
  }
  return {text, 1};
}

std::vector<MergedTensor> merge_adapter(HfModel& model, const LoraAdapter& adapter, double scale) {
  std::string unmatched, tied;
  std::vector<MergedTensor> merged;
  const double scaling = adapter.config.scaling * scale;
  for (const LoraTarget& target : adapter.targets) {
    const std::string name = target.module + ".weight";
    Tensor* const tensor = find_tensor(model, name);
    const auto id = parse_tensor_name(name);
    if (tensor == nullptr || tensor->shape.size() != 2 || !id) {
      unmatched += (unmatched.empty() ? "" : ", ") + target.module;
      continue;
    }
    if (model.config.tied_embeddings && (id->role == LlamaRole::embedding || id->role == LlamaRole::output)) {
      tied += (tied.empty() ? "" : ", ") + target.module;
      continue;
    }
    // PEFT resets fan_in_fan_out, with a warning, for torch.nn.Linear, which every linear layer of a LLaMA is.
    const LoraUpdate update{target.down.data, target.up.data, scaling, target.embedding};
    try {
      tensor->data = lora_rows(tensor->data, update);
    } catch (Error& error) {
      throw error.file(adapter.path).tensor(target.module);
    }
    tensor->file.clear();
    merged.push_back({name, adapter.config.rank, scaling, target.embedding});
  }
  if (!unmatched.empty()) {
    throw Error(ErrorKind::input, "the adapter changes modules that the model does not have")
        .file(adapter.path)
        .found(unmatched)
        .remedy("base and adapter belong to different models");
  }
  if (!tied.empty()) {
    throw Error(
        ErrorKind::input,
        "the model shares one matrix as embedding and output head, and the adapter changes one of them")
        .file(adapter.path)
        .found(tied)
        .remedy("write the base with a head of its own first");
  }
  return merged;
}

std::string_view merge_arithmetic() {
  return "merge_and_unload of PEFT 0.4.0 on a model loaded as float32, with the product of torch 1.13 on a "
         "processor with AVX-512: delta = scaling * (B @ A), fused multiply-adds over the rank in order; "
         "W + delta in float32, rounded once to the type that is written";
}

}  // namespace galatea
