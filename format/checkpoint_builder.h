// Inside of the format room: how the parts of Checkpoint::open fill a checkpoint.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include "format/checkpoint.h"

namespace galatea {

struct CheckpointBuilder {
  explicit CheckpointBuilder(std::filesystem::path path) { out.path_ = std::move(path); }

  /// Takes over the tensors of one weight file. Throws Error(input) when a name is there already.
  void add(std::vector<Tensor> tensors, const std::filesystem::path& file);
  /// Looks for tokenizer.model in `folder` and, if asked, one folder up.
  void find_tokenizer(const std::filesystem::path& folder, bool parent_too);
  void set_kind(CheckpointKind kind) { out.kind_ = kind; }
  void set_config(const LlamaConfig& config) { out.config_ = config; }
  void set_files(std::vector<std::filesystem::path> files) { out.files_ = std::move(files); }
  void set_gguf(std::shared_ptr<const GgufFile> file) { out.gguf_ = std::move(file); }

  Checkpoint out;
};

/// consolidated.NN.pth + params.json: tensor-parallel shards joined (checkpoint_meta.cpp).
Checkpoint open_meta_folder(const std::filesystem::path& folder);
/// A GGUF file or any part of a split one (checkpoint_gguf.cpp).
Checkpoint open_gguf_checkpoint(const std::filesystem::path& path);
/// A GGML, GGMF or GGJT file, or any part of one (checkpoint_ggml.cpp).
Checkpoint open_ggml_checkpoint(const std::filesystem::path& path);

}  // namespace galatea
