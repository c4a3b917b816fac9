#include "converter/hf_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "converter/hf_folder.h"
#include "format/error.h"
#include "format/gguf_rope.h"
#include "format/llama_tensors.h"

namespace galatea {

HfModel hf_model(const Checkpoint& checkpoint) {
  const LlamaWeights weights(checkpoint);
  HfModel model;
  model.config = checkpoint.config();
  model.config.tied_embeddings = weights.tied();
  for (const LlamaTensorId id : llama_tensor_order(model.config.layers, !weights.tied())) {
    Tensor tensor = weights.get(id, LlamaWeights::Rotary::half);
    tensor.name = tensor_name(id, Naming::hf);
    model.tensors.push_back(std::move(tensor));
  }
  std::string strange;
  for (const Tensor& tensor : checkpoint.tensors()) {
    const auto id = parse_tensor_name(tensor.name);
    if (id && id->layer < model.config.layers) continue;
    if (tensor.name == "rope.freqs" || tensor.name == rope_factors_name) continue;
    const CheckpointKind kind = checkpoint.kind();
    if (kind == CheckpointKind::hf || kind == CheckpointKind::torch || kind == CheckpointKind::safetensors) {
      model.tensors.push_back(tensor);
    } else {
      strange += (strange.empty() ? "" : ", ") + tensor.name;
    }
  }
  if (!strange.empty()) {
    throw Error(ErrorKind::input, "the checkpoint holds tensors that are no part of a LLaMA")
        .file(checkpoint.path())
        .found(strange);
  }
  model.tensors = in_state_dict_order(std::move(model.tensors));
  return model;
}

Tensor* find_tensor(HfModel& model, std::string_view name) {
  const auto found = std::find_if(model.tensors.begin(), model.tensors.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == model.tensors.end() ? nullptr : &*found;
}

}  // namespace galatea
