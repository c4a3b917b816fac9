#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/plan.h"
#include "verify/bits_picture.h"
#include "verify/commands.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  std::string path, picture;
  bool overwrite = false;
};

nlohmann::json config_json(const LlamaConfig& config) {
  return {{"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"layers", config.layers},
          {"heads", config.heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"context", config.context},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"tied_embeddings", config.tied_embeddings}};
}

nlohmann::json tensor_json(const Tensor& tensor) {
  return {{"name", tensor.name},     {"dtype", type_info(tensor.type()).name},
          {"shape", tensor.shape},   {"file", tensor.file.filename().string()},
          {"offset", tensor.offset}, {"bytes", tensor.bytes()}};
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

double bits_of(std::uint64_t bytes, std::uint64_t values) {
  return values == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
}

/// A line for each tensor, in columns as wide as what is in them.
void print_tensors(const std::vector<Tensor>& tensors, Console& console) {
  constexpr std::size_t widest_name = 60;
  std::size_t name_width = 0, shape_width = 0;
  for (const Tensor& tensor : tensors) {
    name_width = std::max(name_width, std::min(printable(tensor.name).size(), widest_name));
    shape_width = std::max(shape_width, to_string(tensor.shape).size());
  }
  for (const Tensor& tensor : tensors) {
    console.print(padded(printable(tensor.name), name_width) + "  " +
                  padded(std::string(type_info(tensor.type()).name), 8) + " " +
                  padded(to_string(tensor.shape), shape_width) + "  " +
                  printable(tensor.file.filename().string()) + " @ " + std::to_string(tensor.offset) + ", " +
                  std::to_string(tensor.bytes()) + " bytes");
  }
}

struct TypeSize {
  std::uint64_t tensors = 0, bytes = 0, values = 0;
};

/// How much of the weights each type has.
void tell_types(const std::vector<Tensor>& tensors, nlohmann::json& document, Console& console) {
  std::map<DType, TypeSize> types;
  TypeSize whole;
  for (const Tensor& tensor : tensors) {
    for (TypeSize* size : {&types[tensor.type()], &whole}) {
      ++size->tensors;
      size->bytes += tensor.bytes();
      size->values += element_count(tensor.shape);
    }
  }
  document["types"] = nlohmann::json::array();
  for (const auto& [type, size] : types) {
    const std::string name(type_info(type).name);
    const double share =
        static_cast<double>(size.bytes) / static_cast<double>(std::max<std::uint64_t>(1, whole.bytes));
    document["types"].push_back({{"type", name},
                                 {"tensors", size.tensors},
                                 {"values", size.values},
                                 {"bytes", size.bytes},
                                 {"bits_per_weight", bits_of(size.bytes, size.values)},
                                 {"share", share}});
    char line[128];
    std::snprintf(line, sizeof line, "  %-8s %6.2f bits  %6llu tensors  %15llu bytes  %6.2f %%", name.c_str(),
                  bits_of(size.bytes, size.values), static_cast<unsigned long long>(size.tensors),
                  static_cast<unsigned long long>(size.bytes), 100 * share);
    console.print(line);
  }
  document["parameters"] = whole.values;
  document["bytes"] = whole.bytes;
  document["bits_per_weight"] = bits_of(whole.bytes, whole.values);
  char bits[32];
  std::snprintf(bits, sizeof bits, "%.3f", bits_of(whole.bytes, whole.values));
  console.print(std::to_string(tensors.size()) + " tensors, " + std::to_string(whole.values) + " values, " +
                std::to_string(whole.bytes) + " bytes, " + bits + " bits for each weight");
}

void tell_metadata(const GgufFile& gguf, nlohmann::json& document, Console& console) {
  document["gguf_version"] = gguf.version();
  document["alignment"] = gguf.alignment();
  for (const GgufEntry& entry : gguf.metadata()) {
    document["metadata"][entry.key] = to_string(entry.value);
    console.print("  " + printable(entry.key) + " = " + to_string(entry.value));
  }
}

void tell_tensors(const std::vector<Tensor>& tensors, nlohmann::json& document, Console& console) {
  document["tensors"] = nlohmann::json::array();
  for (const Tensor& tensor : tensors) document["tensors"].push_back(tensor_json(tensor));
  print_tensors(tensors, console);
  tell_types(tensors, document, console);
}

void draw(const InspectOptions& options, const std::vector<Tensor>& tensors, nlohmann::json& document) {
  if (options.picture.empty()) return;
  WriteOptions write;
  write.overwrite = options.overwrite;
  const fs::path picture = options.picture;
  const std::string title = fs::path(options.path).filename().string();
  write_file(literal_layout(picture.filename().string(), bits_picture(title, tensors)), picture, write);
  document["svg"] = options.picture;
}

/// A GGUF that is no LLaMA that galatea could read: its tables all the same.
bool inspect_foreign_gguf(const InspectOptions& options, const Error& problem, Console& console) {
  std::error_code ignored;
  if (!fs::is_regular_file(options.path, ignored) || !GgufFile::recognise(*open_file(options.path)))
    return false;
  const GgufFile gguf = GgufFile::open(options.path);
  console.progress().note("the configuration is not understood: " + problem.problem());
  nlohmann::json document = {
      {"path", options.path}, {"kind", to_string(CheckpointKind::gguf)}, {"problem", problem.problem()}};
  console.print(options.path + ": " + std::string(to_string(CheckpointKind::gguf)));
  tell_metadata(gguf, document, console);
  tell_tensors(gguf.tensors(), document, console);
  console.print_json(document);
  return true;
}

std::string kind_of(const Checkpoint& checkpoint) {
  const GgufFile* gguf = checkpoint.gguf();
  const std::string* ggml = gguf == nullptr ? nullptr : gguf->get_string("ggml.container");
  return ggml == nullptr ? std::string(to_string(checkpoint.kind())) : *ggml;
}

int inspect(const InspectOptions& options, Console& console) {
  std::optional<Checkpoint> opened;
  try {
    opened = Checkpoint::open(options.path);
  } catch (const Error& error) {
    if (inspect_foreign_gguf(options, error, console)) return 0;
    throw;
  }
  const Checkpoint& checkpoint = *opened;
  nlohmann::json document = {{"path", options.path}, {"kind", kind_of(checkpoint)}};
  draw(options, checkpoint.tensors(), document);
  console.print(options.path + ": " + kind_of(checkpoint));
  if (checkpoint.has_config()) {
    document["config"] = config_json(checkpoint.config());
    for (const auto& [key, value] : document["config"].items())
      console.print("  " + key + ": " + value.dump());
  }
  if (const GgufFile* gguf = checkpoint.gguf()) tell_metadata(*gguf, document, console);
  if (checkpoint.tokenizer_model()) {
    document["tokenizer"] = checkpoint.tokenizer_model()->string();
    console.print("  tokenizer: " + printable(checkpoint.tokenizer_model()->string()));
  }
  tell_tensors(checkpoint.tensors(), document, console);
  console.print_json(document);
  return 0;
}

}  // namespace

void bind_inspect(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what is in a checkpoint: kind, configuration, tensors");
  command->add_option("path", options->path, "A weight file, or a folder of a checkpoint")->required();
  command->add_option("--svg", options->picture, "Draw the bits of each layer and matrix into this file")
      ->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite, "Replace the picture if it is there");
  command->footer("Example:\n  galatea inspect metharme-13b-q4_k_m.gguf --svg bits.svg");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return inspect(*options, console); }; });
}

}  // namespace galatea
