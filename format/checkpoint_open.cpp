// How a path is recognised, and the folders and files that are no Meta folder and no GGUF.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "format/checked.h"
#include "format/checkpoint_builder.h"
#include "format/ggml_file.h"
#include "format/gguf.h"
#include "format/json.h"
#include "format/lfs_pointer.h"
#include "format/llama2c.h"
#include "format/safetensors.h"
#include "format/shard_index.h"
#include "format/torch_file.h"

namespace galatea {

namespace fs = std::filesystem;

namespace {

/// The file types that a single file can be, by its first bytes.
enum class Magic { gguf, ggml, ggla, zip, safetensors, old_pickle, none };

Magic recognise(const ByteSource& source) {
  std::array<unsigned char, 16> head{};
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(source.size(), head.size()));
  source.read(0, std::as_writable_bytes(std::span(head).first(length)));
  const auto starts = [&](std::string_view text) {
    return length >= text.size() && std::memcmp(head.data(), text.data(), text.size()) == 0;
  };
  if (starts("GGUF")) return Magic::gguf;
  if (starts("PK\x03\x04") || starts("PK\x05\x06")) return Magic::zip;
  if (is_ggml_file(source)) return Magic::ggml;
  if (starts("algg")) return Magic::ggla;
  // Before the pickles: the length of a header may start with their first two bytes.
  if (length > 8 && head[8] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0) return Magic::safetensors;
  if (length > 2 && head[0] == 0x80 && head[1] <= 5) return Magic::old_pickle;
  return Magic::none;
}

LlamaConfig read_hf_config(const fs::path& path) {
  try {
    return config_from_hf(parse_json_file(path));
  } catch (Error& error) {
    error.file(path);
    throw;
  }
}

void refuse_pointer(const ByteSource& source) {
  const auto pointer = read_lfs_pointer(source);
  if (!pointer) return;
  throw Error(ErrorKind::input, "is a Git LFS pointer, not the weights themselves")
      .file(source.name())
      .expected("a file of " + std::to_string(pointer->size) + " bytes")
      .found("a pointer of " + std::to_string(source.size()) + " bytes")
      .remedy("install git-lfs and run \"git lfs pull\" in the folder, or download the file itself");
}

std::vector<Tensor> read_weights(const SourcePtr& source) {
  refuse_pointer(*source);
  return recognise(*source) == Magic::safetensors ? open_safetensors(source).tensors
                                                  : TorchFile::open(source).tensors();
}

Checkpoint open_file_checkpoint(const fs::path& path) {
  const SourcePtr source = open_file(path);
  refuse_pointer(*source);
  CheckpointBuilder builder(path);
  switch (recognise(*source)) {
    case Magic::gguf:
      return open_gguf_checkpoint(path);
    case Magic::safetensors:
      builder.set_kind(CheckpointKind::safetensors);
      break;
    case Magic::zip:
    case Magic::old_pickle:
      builder.set_kind(CheckpointKind::torch);
      break;
    case Magic::ggml:
      return open_ggml_checkpoint(path);
    case Magic::ggla:
      throw Error(ErrorKind::input, "is a LoRA adapter of llama.cpp (ggla), not a model")
          .file(path)
          .remedy("galatea merge-lora BASE " + path.string());
    case Magic::none: {
      if (auto model = read_llama2c(source)) {
        builder.set_kind(CheckpointKind::llama2c);
        builder.set_config(model->config);
        builder.add(std::move(model->tensors), path);
        return std::move(builder.out);
      }
      throw Error(ErrorKind::input, "is no checkpoint that galatea knows")
          .file(path)
          .expected("safetensors, a PyTorch zip file (.bin, .pth, .pt), GGUF, GGML, or llama2.c's .bin")
          .remedy("check the file's name and size");
    }
  }
  builder.add(read_weights(source), path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (fs::is_regular_file(folder / "config.json")) builder.set_config(read_hf_config(folder / "config.json"));
  builder.find_tokenizer(folder, false);
  return std::move(builder.out);
}

/// Weight files of an HF folder in shard order, by the index if there is one.
std::vector<std::string> hf_weight_files(const fs::path& folder) {
  for (const auto& [index_name, single] : {std::pair("model.safetensors.index.json", "model.safetensors"),
                                           std::pair("pytorch_model.bin.index.json", "pytorch_model.bin")}) {
    if (fs::is_regular_file(folder / index_name)) {
      return read_shard_index_file(folder / index_name).files();
    }
    if (fs::is_regular_file(folder / single)) return {single};
  }
  // No index: every shard of a set that is complete.
  std::set<std::string> names;
  std::uint64_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool weights = name.starts_with("model-") || name.starts_with("pytorch_model-");
    const std::string extension = entry.path().extension().string();
    if (!weights || (extension != ".safetensors" && extension != ".bin")) continue;
    if (const auto number = shard_number(name)) {
      names.insert(name);
      count = std::max(count, number->count);
    }
  }
  if (!names.empty() && names.size() != count) {
    throw Error(ErrorKind::input, "shards of the checkpoint are missing")
        .file(folder)
        .expected(std::to_string(count) + " shards")
        .found(std::to_string(names.size()));
  }
  return {names.begin(), names.end()};
}

void check_against_index(const Checkpoint& checkpoint, const fs::path& index_path) {
  if (!fs::is_regular_file(index_path)) return;
  const ShardIndex index = read_shard_index_file(index_path);
  for (const auto& [name, file] : index.weight_map) {
    const Tensor* tensor = checkpoint.find(name);
    if (tensor == nullptr || tensor->file.filename() != file) {
      throw Error(ErrorKind::input, "the index names a tensor that its shard does not hold")
          .file(index_path)
          .tensor(name)
          .expected("in " + file)
          .found(tensor == nullptr ? "in no shard" : "in " + tensor->file.filename().string())
          .remedy("index and shards belong to different conversions: take both from one");
    }
  }
}

Checkpoint open_hf_folder(const fs::path& folder) {
  CheckpointBuilder builder(folder);
  builder.set_kind(CheckpointKind::hf);
  const std::vector<std::string> files = hf_weight_files(folder);
  if (files.empty()) {
    throw Error(ErrorKind::input, "the folder has a config.json but no weights")
        .file(folder)
        .expected("model.safetensors, pytorch_model.bin, or shards of either");
  }
  for (const std::string& name : files) {
    if (!fs::exists(folder / name)) {
      throw Error(ErrorKind::input, "a shard that the index names is missing")
          .file(folder / name)
          .remedy("fetch it");
    }
    builder.add(read_weights(open_file(folder / name)), folder / name);
  }
  const bool safetensors = files.front().ends_with(".safetensors");
  check_against_index(
      builder.out, folder / (safetensors ? "model.safetensors.index.json" : "pytorch_model.bin.index.json"));
  if (fs::is_regular_file(folder / "config.json")) builder.set_config(read_hf_config(folder / "config.json"));
  builder.find_tokenizer(folder, false);
  return std::move(builder.out);
}

bool has_any(const fs::path& folder, const std::function<bool(const std::string&)>& wanted) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (wanted(entry.path().filename().string())) return true;
  }
  return false;
}

Checkpoint open_folder(const fs::path& folder) {
  if (fs::exists(folder / "params.json") || fs::exists(folder / "consolidated.00.pth"))
    return open_meta_folder(folder);
  const bool weights = has_any(folder, [](const std::string& name) {
    return (name.starts_with("model") && name.ends_with(".safetensors")) ||
           (name.starts_with("pytorch_model") && name.ends_with(".bin")) || name.ends_with(".index.json");
  });
  if (weights || fs::exists(folder / "config.json")) return open_hf_folder(folder);
  std::vector<fs::path> ggufs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") ggufs.push_back(entry.path());
  }
  std::sort(ggufs.begin(), ggufs.end());
  const bool split = !ggufs.empty() && shard_number(ggufs.front().filename().string()).has_value();
  if (ggufs.size() == 1 || split) return open_gguf_checkpoint(ggufs.front());
  throw Error(ErrorKind::input,
              ggufs.empty() ? "the folder holds no checkpoint" : "the folder holds several GGUF files")
      .file(folder)
      .expected(
          "config.json with safetensors or .bin shards, params.json with consolidated.NN.pth, or one GGUF")
      .remedy("name the folder or file that holds the weights");
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code)) throw system_error(path, "open the checkpoint", code ? code.value() : ENOENT);
  try {
    return fs::is_directory(path) ? open_folder(path) : open_file_checkpoint(path);
  } catch (const fs::filesystem_error& failure) {
    throw system_error(failure.path1().empty() ? path : failure.path1(), "read the folder",
                       failure.code().value());
  }
}

}  // namespace galatea
