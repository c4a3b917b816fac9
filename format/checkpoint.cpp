#include "format/checkpoint.h"

#include <utility>

#include "format/checkpoint_builder.h"
#include "format/error.h"

namespace galatea {

namespace fs = std::filesystem;

std::string_view to_string(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::hf:
      return "Hugging Face folder";
    case CheckpointKind::meta:
      return "Meta folder";
    case CheckpointKind::safetensors:
      return "safetensors file";
    case CheckpointKind::torch:
      return "PyTorch file";
    case CheckpointKind::gguf:
      return "GGUF";
    case CheckpointKind::llama2c:
      return "llama2.c file";
  }
  return "?";
}

void CheckpointBuilder::add(std::vector<Tensor> tensors, const fs::path& file) {
  for (Tensor& tensor : tensors) {
    if (tensor.file.empty()) tensor.file = file;
    const auto [place, added] = out.by_name_.emplace(tensor.name, out.tensors_.size());
    if (!added) {
      throw Error(ErrorKind::input, "two shards hold a tensor of the same name")
          .tensor(tensor.name)
          .file(file)
          .found("also in " + out.tensors_[place->second].file.string())
          .remedy("the folder mixes shards of different checkpoints: keep those of one");
    }
    out.tensors_.push_back(std::move(tensor));
  }
  out.files_.push_back(file);
}

void CheckpointBuilder::find_tokenizer(const fs::path& folder, bool parent_too) {
  for (const fs::path& place : {folder / "tokenizer.model", folder / ".." / "tokenizer.model"}) {
    std::error_code ignored;
    if (fs::is_regular_file(place, ignored)) {
      out.tokenizer_model_ = place.lexically_normal();
      return;
    }
    if (!parent_too) return;
  }
}

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto place = by_name_.find(name);
  return place == by_name_.end() ? nullptr : &tensors_[place->second];
}

const LlamaConfig& Checkpoint::config() const {
  if (!config_) {
    throw Error(ErrorKind::input, "the checkpoint carries no model configuration")
        .file(path_)
        .remedy("give the folder that has config.json or params.json beside the weights");
  }
  return *config_;
}

}  // namespace galatea
