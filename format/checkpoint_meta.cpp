// Meta's folders: consolidated.00.pth ... consolidated.NN.pth (one for each tensor-parallel rank),
// params.json, tokenizer.model here or one folder up.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "format/checkpoint_builder.h"
#include "format/error.h"
#include "format/json.h"
#include "format/llama_tensors.h"
#include "format/torch_file.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> shard_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::size_t present = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("consolidated.") && name.ends_with(".pth")) ++present;
  }
  for (int i = 0; i < 100; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "consolidated.%02d.pth", i);
    if (!fs::exists(folder / name)) break;
    files.push_back(folder / name);
  }
  if (files.empty() || files.size() != present) {
    char missing[32];
    std::snprintf(missing, sizeof missing, "consolidated.%02d.pth", static_cast<int>(files.size()));
    throw Error(ErrorKind::input, "a shard of the Meta checkpoint is missing")
        .file(folder / missing)
        .found(std::to_string(present) + " of the checkpoint's shards")
        .remedy("fetch it: 7B has 1 shard, 13B 2, 30B 4, 65B 8");
  }
  return files;
}

/// Shards replicate some tensors and cut others along rows or columns. LLaMA 3 cuts the embedding along its
/// rows, LLaMA 1 and 2 along its columns: the hidden size tells.
Cut cut_of(const Tensor& part, std::size_t shards, const LlamaConfig& config) {
  if (shards == 1 || part.shape.size() != 2) return Cut::none;
  const auto id = parse_tensor_name(part.name);
  if (!id) return Cut::none;
  if (id->role == LlamaRole::embedding) return part.shape[1] == config.hidden_size ? Cut::rows : Cut::cols;
  return tensor_parallel_cut(id->role);
}

Tensor joined(const std::vector<std::vector<Tensor>>& shards, const std::vector<fs::path>& files,
              std::size_t index, const LlamaConfig& config) {
  Tensor tensor = shards[0][index];
  const Cut cut = cut_of(tensor, shards.size(), config);
  if (cut == Cut::none) return tensor;
  std::vector<RowsPtr> parts;
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    const auto same = [&](const Tensor& other) { return other.name == tensor.name; };
    const auto found = index < shards[shard].size() && same(shards[shard][index])
                           ? shards[shard].begin() + static_cast<std::ptrdiff_t>(index)
                           : std::find_if(shards[shard].begin(), shards[shard].end(), same);
    if (found == shards[shard].end()) {
      throw Error(ErrorKind::input, "a shard lacks a tensor that the first one has")
          .file(files[shard])
          .tensor(tensor.name);
    }
    if (found->shape != tensor.shape || found->type() != tensor.type()) {
      throw Error(ErrorKind::input,
                  "a shard's part of a tensor has another shape or type than the first one's")
          .file(files[shard])
          .tensor(tensor.name)
          .expected(to_string(tensor.shape))
          .found(to_string(found->shape));
    }
    parts.push_back(found->data);
  }
  const bool rows = cut == Cut::rows;
  tensor.shape[rows ? 0 : 1] *= shards.size();
  tensor.data = rows ? join_rows(std::move(parts)) : join_cols(std::move(parts));
  return tensor;
}

/// params.json leaves the vocabulary to the tokenizer and the feed-forward size to a formula: shapes decide.
void complete_from_shapes(LlamaConfig& config, const Checkpoint& checkpoint) {
  if (const Tensor* embedding = checkpoint.find("tok_embeddings.weight");
      embedding && embedding->shape.size() == 2) {
    const std::uint64_t cols = embedding->shape[1];
    if (cols != config.hidden_size && cols > 0 && config.hidden_size % cols == 0) {
      throw Error(ErrorKind::input, "shards of the Meta checkpoint are missing")
          .file(checkpoint.path())
          .expected(std::to_string(checkpoint.files().size() * (config.hidden_size / cols)) +
                    " files consolidated.NN.pth")
          .found(std::to_string(checkpoint.files().size()))
          .remedy("fetch the others: 7B has 1 shard, 13B 2, 30B 4, 65B 8");
    }
    config.vocab_size = embedding->shape[0];
  }
  if (const Tensor* gate = checkpoint.find("layers.0.feed_forward.w1.weight");
      gate && gate->shape.size() == 2) {
    config.intermediate_size = gate->shape[0];
  }
  config.tied_embeddings = checkpoint.find("output.weight") == nullptr;
}

}  // namespace

Checkpoint open_meta_folder(const fs::path& folder) {
  CheckpointBuilder builder(folder);
  builder.set_kind(CheckpointKind::meta);
  const fs::path params = folder / "params.json";
  if (!fs::exists(params)) {
    throw Error(ErrorKind::input, "the Meta folder lacks its params.json")
        .file(params)
        .remedy("fetch it from where the shards come from");
  }
  LlamaConfig config;
  try {
    config = config_from_meta(parse_json_file(params));
  } catch (Error& error) {
    error.file(params);
    throw;
  }
  const std::vector<fs::path> files = shard_files(folder);
  std::vector<std::vector<Tensor>> shards;
  shards.reserve(files.size());
  for (const fs::path& file : files) shards.push_back(TorchFile::open(open_file(file)).tensors());
  std::vector<Tensor> tensors;
  tensors.reserve(shards[0].size());
  for (std::size_t i = 0; i < shards[0].size(); ++i) tensors.push_back(joined(shards, files, i, config));
  builder.add(std::move(tensors), files.front());
  builder.set_files(files);
  complete_from_shapes(config, builder.out);
  try {
    config.validate();
  } catch (Error& error) {
    error.file(params);
    throw;
  }
  builder.set_config(config);
  builder.find_tokenizer(folder, true);
  return std::move(builder.out);
}

}  // namespace galatea
