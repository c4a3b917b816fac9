#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf.h"
#include "verify/commands.h"

namespace galatea {
namespace {

struct InspectOptions {
  std::string path;
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

std::string tensor_line(const Tensor& tensor, std::size_t name_width) {
  std::string name = printable(tensor.name);
  if (name.size() < name_width) name.append(name_width - name.size(), ' ');
  char middle[64];
  std::snprintf(middle, sizeof middle, "  %-8s %-18s", std::string(type_info(tensor.type()).name).c_str(),
                to_string(tensor.shape).c_str());
  return name + middle + "  " + printable(tensor.file.filename().string()) + " @ " +
         std::to_string(tensor.offset) + ", " + std::to_string(tensor.bytes()) + " bytes";
}

int inspect(const InspectOptions& options, Console& console) {
  const Checkpoint checkpoint = Checkpoint::open(options.path);
  nlohmann::json document = {{"path", options.path}, {"kind", to_string(checkpoint.kind())}};
  console.print(options.path + ": " + std::string(to_string(checkpoint.kind())));
  if (checkpoint.has_config()) {
    document["config"] = config_json(checkpoint.config());
    for (const auto& [key, value] : document["config"].items())
      console.print("  " + key + ": " + value.dump());
  }
  if (const GgufFile* gguf = checkpoint.gguf()) {
    document["gguf_version"] = gguf->version();
    for (const GgufEntry& entry : gguf->metadata()) {
      document["metadata"][entry.key] = to_string(entry.value);
      console.print("  " + printable(entry.key) + " = " + to_string(entry.value));
    }
  }
  if (checkpoint.tokenizer_model()) {
    document["tokenizer"] = checkpoint.tokenizer_model()->string();
    console.print("  tokenizer: " + printable(checkpoint.tokenizer_model()->string()));
  }
  std::size_t width = 0;
  std::uint64_t bytes = 0, values = 0;
  for (const Tensor& tensor : checkpoint.tensors()) {
    width = std::max(width, std::min<std::size_t>(tensor.name.size(), 60));
    bytes += tensor.bytes();
    values += element_count(tensor.shape);
  }
  document["tensors"] = nlohmann::json::array();
  for (const Tensor& tensor : checkpoint.tensors()) {
    document["tensors"].push_back(tensor_json(tensor));
    console.print(tensor_line(tensor, width));
  }
  document["parameters"] = values;
  document["bytes"] = bytes;
  console.print(std::to_string(checkpoint.tensors().size()) + " tensors, " + std::to_string(values) +
                " values, " + std::to_string(bytes) + " bytes");
  console.print_json(document);
  return 0;
}

}  // namespace

void bind_inspect(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Show what is in a checkpoint: kind, configuration, tensors");
  command->add_option("path", options->path, "A weight file, or a folder of a checkpoint")->required();
  command->footer("Example:\n  galatea inspect metharme-13b");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return inspect(*options, console); }; });
}

}  // namespace galatea
