// One door to every checkpoint galatea can read.
//
//   kind         what is opened                                         tensor names   rotary rows of q, k
//   hf           folder: *.safetensors or pytorch_model*.bin (sharded   Hugging Face   half-split
//                or not, index.json), config.json, tokenizer files
//   meta         folder: consolidated.NN.pth, params.json,              Meta           interleaved
//                tokenizer.model (there or one folder up)
//   safetensors  single .safetensors file                               as stored      half-split
//   torch        single .bin / .pt / .pth file                          as stored      by its names
//   gguf         single or split .gguf, architecture llama              GGUF           interleaved
//   llama2c      llama2.c .bin                                          Meta           interleaved
//
// Tensor-parallel shards of Meta folders are joined: tensors() lists each weight once.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/llama_config.h"
#include "format/tensor.h"

namespace galatea {

class GgufFile;

enum class CheckpointKind { hf, meta, safetensors, torch, gguf, llama2c };
std::string_view to_string(CheckpointKind kind);

class Checkpoint {
 public:
  /// Recognises `path` by its contents and reads its tables; no weights are read. Throws Error(input) when
  /// it is nothing galatea knows, or damaged; the message lists what was looked for.
  static Checkpoint open(const std::filesystem::path& path);

  CheckpointKind kind() const { return kind_; }
  const std::filesystem::path& path() const { return path_; }
  /// Sorted by (file, offset): the order of storage.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// nullptr when there is none of that name.
  const Tensor* find(std::string_view name) const;

  /// Throws Error(input) when the checkpoint carries no configuration (a lone weight file).
  const LlamaConfig& config() const;
  bool has_config() const { return config_.has_value(); }

  /// tokenizer.model / tokenizer.json beside the weights, if any (for GGUF the vocabulary is in gguf()).
  const std::optional<std::filesystem::path>& tokenizer_model() const { return tokenizer_model_; }

  /// Metadata of a GGUF checkpoint; nullptr for the other kinds.
  const GgufFile* gguf() const { return gguf_.get(); }

  /// The weight files, in shard order.
  const std::vector<std::filesystem::path>& files() const { return files_; }

 private:
  friend struct CheckpointBuilder;
  CheckpointKind kind_ = CheckpointKind::hf;
  std::filesystem::path path_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::optional<LlamaConfig> config_;
  std::optional<std::filesystem::path> tokenizer_model_;
  std::shared_ptr<const GgufFile> gguf_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace galatea
