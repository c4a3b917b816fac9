#include "converter/lora_adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/json.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Settings that do not change what has to be merged: how it was trained, where it came from, or which
/// modules were chosen (the tensors that are there say that themselves).
constexpr std::array<std::string_view, 16> harmless = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "peft_version",
    "revision",
    "target_modules",
    "exclude_modules",
    "task_type",
    "megatron_core",
    "runtime_config",
    "peft_type",
    "r",
    "lora_alpha",
};

/// Says nothing: null, false, "", [], {}.
bool is_empty(const json& value) {
  return value.is_null() || value == json(false) || value == json("") ||
         (value.is_structured() && value.empty());
}

/// Starting values of the matrices that leave the base as it was.
bool keeps_base(const json& init) {
  return init.is_boolean() || init.is_null() || init == json("gaussian") || init == json("orthogonal") ||
         init == json("eva");
}

bool understood(const std::string& key, const json& value) {
  if (std::find(harmless.begin(), harmless.end(), key) != harmless.end()) return true;
  if (key == "use_rslora" || key == "fan_in_fan_out") return value.is_boolean() || value.is_null();
  if (key == "bias") return value.is_null() || value == json("none");
  if (key == "init_lora_weights") return keeps_base(value);
  return is_empty(value);
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > shown) text += ", ... (" + std::to_string(names.size()) + " in all)";
  return text;
}

/// "base_model.model.MODULE.lora_A.weight" taken apart.
struct PartName {
  std::string module;
  bool down, embedding;
};

std::optional<PartName> parse_part(std::string_view name) {
  constexpr std::string_view prefix = "base_model.model.";
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  struct Kind {
    std::string_view text;
    bool down, embedding;
  };
  constexpr std::array<Kind, 4> kinds = {{{".lora_A", true, false},
                                          {".lora_B", false, false},
                                          {".lora_embedding_A", true, true},
                                          {".lora_embedding_B", false, true}}};
  for (const Kind& kind : kinds) {
    for (const std::string_view adapter : {"", ".default"}) {
      const std::string end =
          std::string(kind.text) + std::string(adapter) + (kind.embedding ? "" : ".weight");
      if (name.size() > end.size() && name.ends_with(end))
        return PartName{std::string(name.substr(0, name.size() - end.size())), kind.down, kind.embedding};
    }
  }
  return {};
}

fs::path weights_of(const fs::path& folder) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (fs::is_regular_file(folder / name)) return folder / name;
  }
  throw Error(ErrorKind::input, "the adapter has no weights")
      .file(folder)
      .expected("adapter_model.safetensors or adapter_model.bin")
      .found("neither")
      .remedy("give the folder that PEFT's save_pretrained wrote");
}

double number(const json& config, const char* key, const fs::path& file) {
  const auto found = config.find(key);
  if (found != config.end() && found->is_number()) {
    const double value = found->get<double>();
    if (std::isfinite(value)) return value;
  }
  throw Error(ErrorKind::input, std::string("the adapter's ") + key + " is no number")
      .file(file)
      .expected("a finite number")
      .found(found == config.end() ? "no such entry"
                                   : found->dump(-1, ' ', true, json::error_handler_t::replace));
}

}  // namespace

LoraConfig lora_config(const json& config, const fs::path& file) {
  if (!config.is_object()) throw Error(ErrorKind::input, "this is no adapter configuration").file(file);
  const json type = config.value("peft_type", json("LORA"));
  if (type != json("LORA")) {
    throw Error(ErrorKind::input, "the adapter is of another kind")
        .file(file)
        .expected("peft_type LORA")
        .found("peft_type " + type.dump(-1, ' ', true, json::error_handler_t::replace));
  }
  std::vector<std::string> strange;
  for (const auto& [key, value] : config.items()) {
    if (!understood(key, value))
      strange.push_back(key + " = " + value.dump(-1, ' ', true, json::error_handler_t::replace));
  }
  if (!strange.empty()) {
    throw Error(ErrorKind::input, "the adapter has settings that this merge does not know")
        .file(file)
        .found(joined(strange))
        .remedy("merging without them would give wrong weights");
  }
  const double rank = number(config, "r", file);
  if (rank < 1 || rank > 65536 || rank != std::floor(rank)) {
    throw Error(ErrorKind::input, "the adapter's rank makes no sense")
        .file(file)
        .expected("a whole number from 1 to 65536")
        .found(config.at("r").dump());
  }
  LoraConfig out;
  out.rank = static_cast<std::uint64_t>(rank);
  out.scaling = number(config, "lora_alpha", file) /
                (config.value("use_rslora", json(false)) == json(true) ? std::sqrt(rank) : rank);
  out.fan_in_fan_out = config.value("fan_in_fan_out", json(false)) == json(true);
  return out;
}

LoraAdapter read_lora_adapter(const fs::path& folder) {
  if (!fs::is_regular_file(folder / "adapter_config.json")) {
    throw Error(ErrorKind::input, "this is no adapter of PEFT")
        .file(folder)
        .expected("a folder with adapter_config.json")
        .remedy("give the folder that PEFT's save_pretrained wrote");
  }
  LoraAdapter adapter;
  adapter.path = folder;
  adapter.config =
      lora_config(parse_json_file(folder / "adapter_config.json"), folder / "adapter_config.json");
  const fs::path file = weights_of(folder);
  const Checkpoint weights = Checkpoint::open(file);

  struct Halves {
    std::optional<Tensor> down, up;
    bool embedding = false;
  };
  std::map<std::string, Halves> modules;
  std::vector<std::string> strange;
  for (const Tensor& tensor : weights.tensors()) {
    const std::optional<PartName> part = parse_part(tensor.name);
    if (!part) {
      strange.push_back(tensor.name);
      continue;
    }
    Halves& halves = modules[part->module];
    std::optional<Tensor>& half = part->down ? halves.down : halves.up;
    if (half || ((halves.down || halves.up) && halves.embedding != part->embedding)) {
      throw Error(ErrorKind::input, "the adapter holds one matrix of a module twice")
          .file(file)
          .tensor(tensor.name);
    }
    halves.embedding = part->embedding;
    half = tensor;
  }
  if (!strange.empty()) {
    throw Error(ErrorKind::input, "the adapter holds tensors that are no part of a LoRA")
        .file(file)
        .found(joined(strange))
        .remedy("merging without them would give wrong weights");
  }
  if (modules.empty()) {
    throw Error(ErrorKind::input, "the adapter is empty")
        .file(file)
        .expected("tensors named ...lora_A.weight and ...lora_B.weight")
        .found("no tensors")
        .remedy("alpaca-lora scripts of 2023 saved such files by mistake; only training again helps");
  }
  for (auto& [module, halves] : modules) {
    if (!halves.down || !halves.up) {
      throw Error(ErrorKind::input, "the adapter lacks half of a module")
          .file(file)
          .tensor(module)
          .expected(halves.down ? "its B matrix" : "its A matrix")
          .found("none");
    }
    const Shape& a = halves.down->shape;
    const Shape& b = halves.up->shape;
    if (a.size() != 2 || b.size() != 2 || a[0] != adapter.config.rank || b[1] != adapter.config.rank) {
      throw Error(ErrorKind::input, "the adapter's matrices are not of the rank that its configuration says")
          .file(file)
          .tensor(module)
          .expected("A [" + std::to_string(adapter.config.rank) + ", in], B [out, " +
                    std::to_string(adapter.config.rank) + "]")
          .found("A " + to_string(a) + ", B " + to_string(b));
    }
    if (!type_info(halves.down->type()).floating || !type_info(halves.up->type()).floating) {
      throw Error(ErrorKind::input, "the adapter's matrices are not of a floating type")
          .file(file)
          .tensor(module);
    }
    adapter.targets.push_back({module, std::move(*halves.down), std::move(*halves.up), halves.embedding});
  }
  return adapter;
}

}  // namespace galatea
