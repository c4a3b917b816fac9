// GGML, GGMF and GGJT files as checkpoints: seen as the GGUF that they become.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "format/checked.h"
#include "format/checkpoint_builder.h"
#include "format/error.h"
#include "format/ggml_file.h"
#include "format/gguf.h"
#include "format/gguf_llama.h"
#include "format/llama_tensors.h"
#include "format/sentencepiece_model.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t most_parts = 64;
constexpr std::size_t first_byte_token = 3, first_merged_token = 259;

/// FILE of FILE.1, FILE.2 ...
fs::path first_part_of(const fs::path& path) {
  const std::string end = path.extension().string();
  const bool number = end.size() > 1 && end.size() < 4 && end[1] != '0' &&
                      std::all_of(end.begin() + 1, end.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number) return path;
  fs::path first = path;
  first.replace_extension();
  std::error_code ignored;
  return fs::is_regular_file(first, ignored) && is_ggml_file(*open_file(first)) ? first : path;
}

const GgmlTensor* find_tensor(const GgmlFile& file, std::string_view name) {
  const auto found = std::find_if(file.tensors.begin(), file.tensors.end(),
                                  [&](const GgmlTensor& tensor) { return tensor.name == name; });
  return found == file.tensors.end() ? nullptr : &*found;
}

const GgmlTensor& need_tensor(const GgmlFile& file, LlamaTensorId id, const fs::path& path) {
  const std::string name = tensor_name(id, Naming::meta);
  const GgmlTensor* tensor = find_tensor(file, name);
  if (tensor == nullptr || tensor->shape.size() != 2) {
    throw Error(ErrorKind::input, "a weight of the model is missing, or no matrix").file(path).tensor(name);
  }
  return *tensor;
}

/// By the width of the embedding, which is cut along its columns.
std::uint64_t count_parts(const GgmlFile& file, const fs::path& path) {
  const std::uint64_t width = need_tensor(file, {LlamaRole::embedding, 0}, path).shape.back();
  const std::uint64_t parts = file.width() / width;
  if (file.width() % width != 0 || parts > (file.may_have_parts ? most_parts : 1)) {
    throw Error(ErrorKind::input, "the embedding has another width than the file's head says")
        .file(path)
        .tensor("tok_embeddings.weight")
        .expected(std::to_string(file.width()) + (file.may_have_parts ? ", or a part of it" : ""))
        .found(std::to_string(width));
  }
  return parts;
}

std::vector<GgmlFile> read_parts(const fs::path& path, std::vector<fs::path>& paths) {
  std::vector<GgmlFile> files = {read_ggml_file(open_file(path))};
  paths = {path};
  const std::uint64_t parts = count_parts(files.front(), path);
  for (std::uint64_t i = 1; i < parts; ++i) {
    const fs::path part = path.string() + "." + std::to_string(i);
    std::error_code ignored;
    if (!fs::is_regular_file(part, ignored)) {
      throw Error(ErrorKind::input, "a part of the model is missing")
          .file(part)
          .expected(std::to_string(parts) + " parts: " + path.filename().string() + ", .1 and so on")
          .remedy("fetch it");
    }
    files.push_back(read_ggml_file(open_file(part)));
    paths.push_back(part);
    if (files.back().container != files.front().container || files.back().numbers != files.front().numbers ||
        files.back().tensors.size() != files.front().tensors.size()) {
      throw Error(ErrorKind::input, "a part belongs to another model").file(part);
    }
  }
  return files;
}

/// A tensor of all parts.
struct Joined {
  Shape shape;
  RowsPtr stored;
};

Joined join(const std::vector<GgmlFile>& files, const std::vector<fs::path>& paths, const GgmlTensor& tensor,
            Cut cut) {
  if (cut == Cut::none || files.size() == 1) return {tensor.shape, tensor.stored};
  std::vector<RowsPtr> stored;
  Shape shape = tensor.shape;
  std::uint64_t& cut_extent = cut == Cut::rows ? shape.front() : shape.back();
  cut_extent = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const GgmlTensor* part = find_tensor(files[i], tensor.name);
    if (part == nullptr || part->type.id != tensor.type.id || part->shape != tensor.shape ||
        tensor.shape.size() != 2) {
      throw Error(ErrorKind::input, "the parts of a tensor do not fit together")
          .file(paths[i])
          .tensor(tensor.name)
          .expected(to_string(tensor.shape) + " as in the first part")
          .found(part == nullptr ? "none" : to_string(part->shape));
    }
    stored.push_back(part->stored);
    cut_extent = checked_add(cut_extent, cut == Cut::rows ? part->shape.front() : part->shape.back(),
                             "the extent of a tensor");
  }
  return {shape, cut == Cut::rows ? join_rows(std::move(stored)) : join_cols(std::move(stored))};
}

LlamaTensorId role_of(const GgmlTensor& tensor, const fs::path& path) {
  const auto id = parse_tensor_name(tensor.name);
  if (!id || tensor_name(*id, Naming::meta) != tensor.name) {
    throw Error(ErrorKind::input, "a tensor is no part of a LLaMA").file(path).tensor(tensor.name);
  }
  return *id;
}

std::vector<Tensor> join_tensors(const std::vector<GgmlFile>& files, const std::vector<fs::path>& paths) {
  std::vector<Tensor> out;
  out.reserve(files.front().tensors.size());
  for (const GgmlTensor& tensor : files.front().tensors) {
    const LlamaTensorId id = role_of(tensor, paths.front());
    Joined whole = join(files, paths, tensor, tensor_parallel_cut(id.role));
    const std::uint64_t cols =
        whole.shape.size() == 1 && tensor.type.block_length == 1 ? 1 : whole.shape.back();
    out.push_back({tensor_name(id, Naming::gguf), std::move(whole.shape),
                   ggml_rows(tensor.type, std::move(whole.stored), cols), paths.front(), tensor.offset});
  }
  return out;
}

std::string spaces_as_marks(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ') {
      out += "\xE2\x96\x81";
    } else {
      out += c;
    }
  }
  return out;
}

/// The piece that a printed token was: see ggml_file.h. Files without scores have the order of the merges, whose
/// scores SentencePiece's trainer counts down from 0.
SentencePiece piece_of(const GgmlToken& token, std::size_t id, bool scores) {
  const float in_order = id <= first_merged_token ? 0.0F : -static_cast<float>(id - first_merged_token);
  const float score = scores ? token.score : in_order;
  if (id == 0) return {"<unk>", score, PieceType::unknown};
  if (id == 1) return {"<s>", score, PieceType::control};
  if (id == 2) return {"</s>", score, PieceType::control};
  if (token.text.empty()) return {"[PAD" + std::to_string(id) + "]", score, PieceType::unused};
  if (id < first_merged_token) {
    // The first converter printed bytes that are no text by themselves as U+FFFD.
    const auto byte = static_cast<unsigned char>(id - first_byte_token);
    const bool itself = token.text.size() == 1 && static_cast<unsigned char>(token.text.front()) == byte;
    if (itself || (byte >= 0x80 && token.text == "\xEF\xBF\xBD")) {
      std::array<char, 8> name{};
      std::snprintf(name.data(), name.size(), "<0x%02X>", byte);
      return {name.data(), score, PieceType::byte};
    }
  }
  const bool added = score == score_of_added_token && score != in_order;
  return {spaces_as_marks(token.text), score, added ? PieceType::user_defined : PieceType::normal};
}

SentencePieceModel vocabulary_of(const GgmlFile& file) {
  SentencePieceModel model;
  model.algorithm = SentencePieceAlgorithm::bpe;
  model.pieces.reserve(file.tokens.size());
  for (std::size_t id = 0; id < file.tokens.size(); ++id)
    model.pieces.push_back(piece_of(file.tokens[id], id, file.scores));
  return model;
}

LlamaConfig config_of(const GgmlFile& file, const std::vector<Tensor>& tensors, const fs::path& path) {
  const auto rows_of = [&](LlamaRole role) {
    const std::string name = tensor_name({role, 0}, Naming::gguf);
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const Tensor& tensor) { return tensor.name == name; });
    if (found == tensors.end() || found->shape.size() != 2) {
      throw Error(ErrorKind::input, "a weight of the model is missing, or no matrix").file(path).tensor(name);
    }
    return found->shape.front();
  };
  LlamaConfig config;
  config.vocab_size = file.vocabulary();
  config.hidden_size = file.width();
  config.layers = file.layers();
  config.heads = file.heads();
  config.head_dim = file.heads() == 0 ? 0 : file.width() / file.heads();
  if (config.head_dim != file.rotary()) {
    throw Error(ErrorKind::input, "the head of the file contradicts itself")
        .file(path)
        .expected("n_rot = n_embd / n_head = " + std::to_string(config.head_dim))
        .found(std::to_string(file.rotary()));
  }
  config.kv_heads = config.head_dim == 0 ? 0 : rows_of(LlamaRole::k) / config.head_dim;
  config.intermediate_size = rows_of(LlamaRole::gate);
  config.tied_embeddings = std::none_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) {
    return tensor.name == tensor_name({LlamaRole::output, 0}, Naming::gguf);
  });
  // Not in the file: LLaMA 1 has 2048 and 1e-6; grouped heads are LLaMA 2's, 1e-5.
  config.context = 2048;
  config.rms_norm_eps = config.kv_heads == config.heads ? 1e-6 : 1e-5;
  try {
    config.validate();
  } catch (Error& error) {
    throw error.file(path);
  }
  return config;
}

/// What of the file is not as GGUF has it, for listings; no such entry is written.
void tell_container(const GgmlFile& file, const std::vector<Tensor>& tensors, GgufMetadata& metadata) {
  std::map<std::string, std::uint64_t> decoded;
  for (const Tensor& tensor : tensors) {
    const GgmlType* type = decoded_from(*tensor.data);
    if (type == nullptr) continue;
    char bits[16];
    std::snprintf(bits, sizeof bits, "%.1f", 8.0 * type->block_bytes / type->block_length);
    ++decoded[std::string(type->name) + (type->present ? " with float32 scales" : "") + ", " + bits +
              " bits a weight"];
  }
  metadata.push_back({"ggml.container", file.container});
  std::string list;
  for (const auto& [what, count] : decoded)
    list += (list.empty() ? "" : "; ") + std::to_string(count) + " tensors of " + what;
  if (!list.empty()) metadata.push_back({"ggml.read_as_f32", list});
}

std::uint32_t file_type_of(const GgmlFile& file) {
  const bool removed = file.file_type() == 5 || file.file_type() == 6;  // Q4_2, Q4_3
  return removed || file.file_type() > 18 ? 0 : file.file_type();
}

}  // namespace

Checkpoint open_ggml_checkpoint(const fs::path& path) {
  const fs::path first = first_part_of(path);
  std::vector<fs::path> paths;
  const std::vector<GgmlFile> files = read_parts(first, paths);
  const GgmlFile& file = files.front();
  std::vector<Tensor> tensors = join_tensors(files, paths);
  const LlamaConfig config = config_of(file, tensors, first);

  GgufMetadata metadata = llama_gguf_metadata(config, vocabulary_of(file), {}, first.stem().string());
  set_gguf_file_type(metadata, file_type_of(file));
  tell_container(file, tensors, metadata);
  FileLayout head = gguf_layout("head", metadata, {});
  auto bytes = std::get<LiteralSegment>(std::move(head.segments.front())).bytes;
  auto gguf = std::make_shared<GgufFile>(GgufFile::read(memory_source(std::move(bytes), first)));

  CheckpointBuilder builder(path);
  builder.set_kind(CheckpointKind::gguf);
  builder.add(std::move(tensors), first);
  builder.set_files(std::move(paths));
  builder.set_config(config);
  builder.set_gguf(std::move(gguf));
  return std::move(builder.out);
}

}  // namespace galatea
