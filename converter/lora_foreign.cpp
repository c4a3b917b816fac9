#include "converter/lora_foreign.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/checked.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/json.h"
#include "format/little_endian.h"
#include "format/llama_tensors.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// A matrix turned, in memory.
Tensor turned(const Tensor& tensor) {
  const std::vector<float> values = read_all_f32(tensor);
  const std::uint64_t rows = tensor.shape.at(0);
  const std::uint64_t cols = tensor.shape.at(1);
  std::vector<float> out(values.size());
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) out[c * rows + r] = values[r * cols + c];
  }
  Tensor result = tensor;
  result.shape = {cols, rows};
  result.data = memory_rows(out, cols, rows);
  return result;
}

/// What is found of a module before its halves are put together.
struct Halves {
  std::optional<Tensor> down, up, magnitude;
  std::optional<double> alpha;
};

/// Checks and adds the modules; `scaling` from a module's halves and its rank.
template <class Scaling>
void add_targets(LoraAdapter& adapter, std::map<std::string, Halves>& modules, const Scaling& scaling) {
  for (auto& [module, halves] : modules) {
    if (!halves.down || !halves.up) {
      throw Error(ErrorKind::input, "the adapter lacks half of a module").file(adapter.path).tensor(module);
    }
    const Shape& a = halves.down->shape;
    const Shape& b = halves.up->shape;
    if (a.size() != 2 || b.size() != 2 || a[0] == 0 || a[0] != b[1]) {
      throw Error(ErrorKind::input, "the adapter's matrices do not fit together")
          .file(adapter.path)
          .tensor(module)
          .expected("A [rank, in], B [out, rank]")
          .found("A " + to_string(a) + ", B " + to_string(b));
    }
    LoraTarget target{.module = module, .down = *halves.down, .up = *halves.up};
    target.embedding = module.ends_with("embed_tokens");
    target.rank = a[0];
    target.scaling = scaling(halves, a[0]);
    if (!std::isfinite(target.scaling))
      throw Error(ErrorKind::input, "the adapter's scaling is not finite").file(adapter.path).tensor(module);
    target.magnitude = halves.magnitude;
    adapter.targets.push_back(std::move(target));
  }
  if (adapter.targets.empty() && adapter.replaced.empty())
    throw Error(ErrorKind::input, "the adapter is empty").file(adapter.path).found("no tensors");
}

void require_matrix(const Tensor& tensor, const fs::path& file) {
  if (tensor.shape.size() == 2) return;
  throw Error(ErrorKind::input, "a half of a low-rank product is no matrix")
      .file(file)
      .tensor(tensor.name)
      .found(to_string(tensor.shape));
}

std::string module_of(LlamaTensorId id) {
  const std::string name = tensor_name(id, Naming::hf);
  return name.substr(0, name.rfind('.'));
}

}  // namespace

LoraAdapter read_gguf_adapter(const fs::path& file) {
  const GgufFile gguf = GgufFile::open(file);
  LoraAdapter adapter;
  adapter.path = file;
  adapter.format = "GGUF";
  const std::string* const type = gguf.get_string("general.type");
  const std::string* const kind = gguf.get_string("adapter.type");
  if (type == nullptr || *type != "adapter" || (kind != nullptr && *kind != "lora")) {
    throw Error(ErrorKind::input, "this GGUF file is no LoRA adapter")
        .file(file)
        .expected("general.type \"adapter\", adapter.type \"lora\"")
        .found(type == nullptr ? "no general.type" : *type + (kind != nullptr ? ", " + *kind : ""));
  }
  if (gguf.find("adapter.alora.invocation_tokens") != nullptr) {
    throw Error(ErrorKind::input, "the adapter cannot be merged")
        .file(file)
        .found("adapter.alora.invocation_tokens")
        .remedy("an activated LoRA acts only after its invocation tokens");
  }
  const double alpha = gguf.get_number("adapter.lora.alpha").value_or(0);
  std::map<std::string, Halves> modules;
  for (const Tensor& tensor : gguf.tensors()) {
    const bool down = tensor.name.ends_with(".lora_a");
    const bool up = tensor.name.ends_with(".lora_b");
    const auto id =
        parse_tensor_name(down || up ? tensor.name.substr(0, tensor.name.size() - 7) : tensor.name);
    if (!id) {
      adapter.unused.push_back(tensor.name);
      continue;
    }
    if (!down && !up) {
      const bool rotary = id->role == LlamaRole::q || id->role == LlamaRole::k;
      if (rotary) {
        adapter.unused.push_back(tensor.name);
      } else {
        adapter.replaced.push_back({tensor_name(*id, Naming::hf), tensor});
      }
      continue;
    }
    require_matrix(tensor, file);
    Halves& halves = modules[module_of(*id)];
    (down ? halves.down : halves.up) = down && id->role == LlamaRole::embedding ? turned(tensor) : tensor;
  }
  add_targets(adapter, modules, [&](const Halves&, std::uint64_t rank) {
    return alpha == 0 ? 1.0 : alpha / static_cast<double>(rank);
  });
  for (LoraTarget& target : adapter.targets)
    target.rotary_interleaved = target.module.ends_with(".q_proj") || target.module.ends_with(".k_proj");
  return adapter;
}

LoraAdapter read_ggla_adapter(const fs::path& file) {
  const SourcePtr source = open_file(file);
  LoraAdapter adapter;
  adapter.path = file;
  adapter.format = "ggla";
  std::uint64_t at = 4;
  const auto number = [&](const char* what, std::uint32_t most) {
    const std::vector<std::byte> bytes = source->read(at, 4);
    const auto value = LittleEndian(bytes).u32(0);
    if (value > most) {
      throw Error(ErrorKind::input, std::string("the ") + what + " in the adapter makes no sense")
          .file(file)
          .at(at)
          .expected("at most " + std::to_string(most))
          .found(std::to_string(value));
    }
    at += 4;
    return value;
  };
  if (const auto version = number("version", 0xFFFFFFFF); version != 1)
    throw Error(ErrorKind::input, "an unknown version of ggla")
        .file(file)
        .at(4)
        .expected("1")
        .found(std::to_string(version));
  const std::uint32_t rank = number("rank", 65536);
  const std::uint32_t alpha = number("alpha", 1U << 24U);
  if (rank == 0)
    throw Error(ErrorKind::input, "the adapter's rank makes no sense").file(file).at(8).found("0");
  std::map<std::string, Halves> modules;
  while (at < source->size()) {
    const std::uint32_t dims = number("number of dimensions", 2);
    const std::uint32_t length = number("length of a name", 256);
    const std::uint32_t type = number("type", 1);
    Shape shape(dims);
    for (std::uint32_t i = 0; i < dims; ++i) shape[dims - 1 - i] = number("size", 1U << 30U);
    const std::string name = part_of(source, at, length)->read_text(length);
    at = align_up(at + length, 32);
    const DType dtype = type == 1 ? DType::f16 : DType::f32;
    Tensor tensor{name, shape, nullptr, file, at};
    require_matrix(tensor, file);
    tensor.data = stored_rows(source, at, dtype, shape[0], shape[1]);
    at += tensor.bytes();
    const bool down = name.ends_with(".loraA");
    const auto id = parse_tensor_name(
        std::string_view(name).substr(0, name.size() - std::min<std::size_t>(name.size(), 6)));
    if ((!down && !name.ends_with(".loraB")) || !id) {
      adapter.unused.push_back(name);
      continue;
    }
    Halves& halves = modules[module_of(*id)];
    (down ? halves.down : halves.up) = down ? turned(tensor) : tensor;
  }
  add_targets(adapter, modules, [&](const Halves&, std::uint64_t) {
    return static_cast<double>(alpha) / static_cast<double>(rank);
  });
  return adapter;
}

LoraAdapter read_mlx_adapter(const fs::path& folder) {
  const fs::path config_file = folder / "adapter_config.json";
  const nlohmann::json config = parse_json_file(config_file);
  LoraAdapter adapter;
  adapter.path = folder;
  adapter.format = "MLX";
  const std::string kind = config.value("fine_tune_type", nlohmann::json("lora")).dump();
  const nlohmann::json parameters = config.value("lora_parameters", nlohmann::json());
  if ((kind != "\"lora\"" && kind != "\"dora\"") || !parameters.is_object() ||
      !parameters.contains("scale") || !parameters["scale"].is_number()) {
    throw Error(ErrorKind::input, "this is no LoRA of MLX")
        .file(config_file)
        .expected("fine_tune_type lora or dora, lora_parameters with a scale")
        .found("fine_tune_type " + kind);
  }
  const double scale = parameters["scale"].get<double>();
  std::map<std::string, Halves> modules;
  const Checkpoint weights = Checkpoint::open(folder / "adapters.safetensors");
  for (const Tensor& tensor : weights.tensors()) {
    const std::size_t dot = tensor.name.rfind('.');
    const std::string part = dot == std::string::npos ? "" : tensor.name.substr(dot + 1);
    const std::string module = tensor.name.substr(0, dot);
    if (part == "lora_a" || part == "lora_b") {
      require_matrix(tensor, folder / "adapters.safetensors");
      Halves& halves = modules[module];
      (part == "lora_a" ? halves.down : halves.up) = turned(tensor);
    } else if (part == "m" && kind == "\"dora\"") {
      if (module.ends_with("embed_tokens")) {
        throw Error(ErrorKind::input, "the adapter cannot be merged")
            .file(folder / "adapters.safetensors")
            .tensor(tensor.name)
            .found("DoRA on an embedding, which MLX scales by token and PEFT by column")
            .remedy("mlx_lm.fuse merges it");
      }
      modules[module].magnitude = tensor;
    } else {
      adapter.unused.push_back(tensor.name);
    }
  }
  add_targets(adapter, modules, [&](const Halves&, std::uint64_t) { return scale; });
  return adapter;
}

bool has_kohya_names(const std::vector<Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) {
    return tensor.name.ends_with(".lora_down.weight") || tensor.name.find(".hada_w") != std::string::npos ||
           tensor.name.find(".lokr_w") != std::string::npos;
  });
}

namespace {

/// "lora_te_model_layers_0_self_attn_q_proj" -> "model.layers.0.self_attn.q_proj"; nothing when it is no module of a
/// LLaMA. The prefix is free.
std::optional<std::string> kohya_module(std::string_view name) {
  if (name.ends_with("lm_head")) return "lm_head";
  if (name.ends_with("embed_tokens")) return "model.embed_tokens";
  const std::size_t layers = name.rfind("layers_");
  if (layers == std::string_view::npos) return {};
  std::string_view rest = name.substr(layers + 7);
  const std::size_t end = rest.find('_');
  if (end == std::string_view::npos || end == 0 || end > 6 ||
      rest.substr(0, end).find_first_not_of("0123456789") != std::string_view::npos)
    return {};
  const std::string number(rest.substr(0, end));
  rest.remove_prefix(end + 1);
  for (const std::string_view part : {"self_attn", "mlp"}) {
    if (!rest.starts_with(part) || rest.size() < part.size() + 2) continue;
    std::string module = "model.layers." + number + "." + std::string(part) + ".";
    module += rest.substr(part.size() + 1);
    if (parse_tensor_name(module + ".weight")) return module;
  }
  return {};
}

}  // namespace

LoraAdapter read_kohya_adapter(const fs::path& file) {
  LoraAdapter adapter;
  adapter.path = file;
  adapter.format = "kohya";
  std::map<std::string, Halves> modules;
  const Checkpoint weights = Checkpoint::open(file);
  for (const Tensor& tensor : weights.tensors()) {
    const std::size_t dot = tensor.name.find('.');
    const std::optional<std::string> module = kohya_module(std::string_view(tensor.name).substr(0, dot));
    const std::string part = dot == std::string::npos ? "" : tensor.name.substr(dot + 1);
    if (!module || (part != "lora_down.weight" && part != "lora_up.weight" && part != "alpha")) {
      adapter.unused.push_back(tensor.name);
      continue;
    }
    Halves& halves = modules[*module];
    if (part == "alpha") {
      const std::vector<float> values = read_all_f32(tensor);
      if (values.size() != 1)
        throw Error(ErrorKind::input, "alpha is no number").file(file).tensor(tensor.name);
      halves.alpha = double{values[0]};
    } else {
      (part == "lora_down.weight" ? halves.down : halves.up) = tensor;
    }
  }
  if (modules.empty()) {
    throw Error(ErrorKind::input, "the adapter changes nothing that a LLaMA has")
        .file(file)
        .found(listed(adapter.unused));
  }
  add_targets(adapter, modules, [](const Halves& halves, std::uint64_t rank) {
    return halves.alpha ? *halves.alpha / static_cast<double>(rank) : 1.0;
  });
  return adapter;
}

}  // namespace galatea
