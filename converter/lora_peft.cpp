#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "converter/lora_adapter.h"
#include "converter/lora_rows.h"
#include "format/checked.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/json.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

enum class Part { down, up, up_bias, magnitude, token_rows, whole };

struct PartName {
  std::string module;  ///< for Part::whole the tensor's name in the model
  Part part;
  bool embedding = false;
  int nested = 0;  ///< PEFT wraps a wrapper once more for every parameter beyond the first
};

std::string_view without_prefix(std::string_view name) {
  for (const std::string_view prefix : {"_orig_mod.", "module.", "base_model.model."}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return name;
}

void erase_all(std::string& text, std::string_view what) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.erase(at, what.size());
}

/// The tensor's meaning; `adapter` is what stands between the part and ".weight" in training checkpoints.
PartName parse_part(std::string_view full) {
  const std::string_view name = without_prefix(full);
  struct Kind {
    std::string_view text, end;
    Part part;
    bool embedding;
  };
  static constexpr std::array<Kind, 8> kinds = {{
      {".lora_A", ".weight", Part::down, false},
      {".lora_B", ".weight", Part::up, false},
      {".lora_B", ".bias", Part::up_bias, false},
      {".lora_embedding_A", "", Part::down, true},
      {".lora_embedding_B", "", Part::up, true},
      {".lora_magnitude_vector", "", Part::magnitude, false},
      {".lora_magnitude_vector", ".weight", Part::magnitude, false},
      {".token_adapter.trainable_tokens_delta", "", Part::token_rows, true},
  }};
  for (const Kind& kind : kinds) {
    for (const std::string_view adapter : {"", ".default"}) {
      const std::string end = std::string(kind.text) + std::string(adapter) + std::string(kind.end);
      if (name.size() > end.size() && name.ends_with(end)) {
        PartName out{std::string(name.substr(0, name.size() - end.size())), kind.part, kind.embedding};
        while (out.module.ends_with(".base_layer")) {
          out.module.resize(out.module.size() - 11);
          ++out.nested;
        }
        return out;
      }
    }
  }
  std::string whole(name);
  erase_all(whole, ".base_layer");
  erase_all(whole, ".modules_to_save.default");
  erase_all(whole, ".token_adapter");
  return {std::move(whole), Part::whole, false};
}

struct Halves {
  std::optional<Tensor> down, up, up_bias, magnitude;
  bool embedding = false;
};

void require_floating(const Tensor& tensor, const fs::path& file) {
  if (type_info(tensor.type()).floating) return;
  throw Error(ErrorKind::input, "the adapter's matrices are not of a floating type")
      .file(file)
      .tensor(tensor.name)
      .found(type_info(tensor.type()).name);
}

struct Weights {
  fs::path file;
  bool whole_state = false;  ///< of a training checkpoint, base included
};

Weights weights_of(const fs::path& folder) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (fs::is_regular_file(folder / name)) return {folder / name, false};
  }
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    if (fs::is_regular_file(folder / name)) return {folder / name, true};
  }
  throw Error(ErrorKind::input, "the adapter has no weights")
      .file(folder)
      .expected(
          "adapter_model.safetensors or adapter_model.bin, or a training checkpoint's pytorch_model.bin")
      .found("none of them")
      .remedy("give the folder that PEFT's save_pretrained wrote");
}

fs::path config_of(const fs::path& folder) {
  const fs::path own = folder / "adapter_config.json";
  return fs::is_regular_file(own) ? own : (folder / ".." / "adapter_config.json").lexically_normal();
}

/// B of equal slices (MergedLinear of PEFT 0.1 and 0.2, a grouped convolution) as one matrix over all ranks: zeros
/// where a slice does not see the others' A, and in the slices that are not changed.
Tensor whole_up(const Tensor& up, std::uint64_t rank, const std::vector<bool>& enabled) {
  const auto count = static_cast<std::uint64_t>(std::count(enabled.begin(), enabled.end(), true));
  const std::uint64_t slice = up.shape[0] / count;
  const std::vector<float> values = read_all_f32(up);
  const std::uint64_t rows = slice * enabled.size();
  const std::uint64_t cols = rank * count;
  std::vector<float> out(static_cast<std::size_t>(rows * cols), 0.0F);
  std::uint64_t used = 0;
  for (std::uint64_t part = 0; part < enabled.size(); ++part) {
    if (!enabled[part]) continue;
    for (std::uint64_t row = 0; row < slice; ++row) {
      for (std::uint64_t k = 0; k < rank; ++k)
        out[(part * slice + row) * cols + used * rank + k] = values[(used * slice + row) * rank + k];
    }
    ++used;
  }
  Tensor whole = up;
  whole.shape = {rows, cols};
  whole.data = memory_rows(out, rows, cols);
  return whole;
}

class PeftReader {
 public:
  explicit PeftReader(const fs::path& folder) {
    const Weights weights = weights_of(folder);
    file_ = weights.file;
    whole_state_ = weights.whole_state;
    out_.path = folder;
    const fs::path config = config_of(folder);
    out_.config = lora_config(parse_ordered_json_file(config), config);
    out_.unused = out_.config.unused;
  }

  LoraAdapter read() {
    refuse_empty_file();
    const Checkpoint weights = Checkpoint::open(file_);
    for (const Tensor& tensor : weights.tensors()) sort_in(tensor);
    if (modules_.empty() && out_.replaced.empty() && out_.tokens.empty()) refuse_empty();
    for (auto& [key, halves] : modules_) add_target(key.first, halves);
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse_empty() const {
    throw Error(ErrorKind::input, "the adapter is empty")
        .file(file_)
        .expected("tensors named ...lora_A.weight and ...lora_B.weight")
        .found("no tensors")
        .remedy(
            "scripts of 2023 (alpaca-lora, qlora) saved such files of 443 bytes by mistake: take the adapter "
            "from a "
            "checkpoint-N folder of that training; if there is none, only training again helps");
  }
  /// torch.save({}) of 443 bytes; other containers of nothing are found by their tables.
  void refuse_empty_file() const {
    if (fs::file_size(file_) == 0) refuse_empty();
  }

  void sort_in(const Tensor& tensor) {
    PartName part = parse_part(tensor.name);
    if (tensor.name.find("original_module") != std::string::npos)
      return;  // the base's own, kept by the wrapper
    if (whole_state_ && part.part == Part::whole && is_of_base(tensor.name)) return;
    require_floating(tensor, file_);
    if (part.part == Part::token_rows) {
      add_tokens(part.module, tensor);
    } else if (part.part == Part::whole) {
      add_whole(part.module, tensor);
    } else {
      Halves& halves = modules_[{part.module, part.nested}];
      const bool matrix = part.part == Part::down || part.part == Part::up;
      std::optional<Tensor>& place = part.part == Part::down      ? halves.down
                                     : part.part == Part::up      ? halves.up
                                     : part.part == Part::up_bias ? halves.up_bias
                                                                  : halves.magnitude;
      if (place || (matrix && (halves.down || halves.up) && halves.embedding != part.embedding)) {
        throw Error(ErrorKind::input, "the adapter holds one matrix of a module twice")
            .file(file_)
            .tensor(tensor.name);
      }
      if (matrix) halves.embedding = part.embedding;
      place = tensor;
    }
  }

  /// Of a whole state: what training did not touch. Biases count as trained where the configuration says so.
  bool is_of_base(const std::string& name) const {
    if (name.find(".modules_to_save.") != std::string::npos) return false;
    return !(out_.config.trains_biases && name.ends_with(".bias"));
  }

  void add_tokens(const std::string& module, const Tensor& tensor) {
    for (const auto& [name, ids] : out_.config.tokens) {
      if (!ends_in_module(module, name)) continue;
      out_.tokens.push_back({module, ids, tensor});
      return;
    }
    out_.unused.push_back(tensor.name + " (no trainable_token_indices for it)");
  }

  void add_whole(const std::string& name, const Tensor& tensor) {
    const bool known = name.ends_with(".weight") || name.ends_with(".bias");
    if (!known || name.find("lora_") != std::string::npos) {
      out_.unused.push_back(tensor.name);
      return;
    }
    for (const LoraReplacement& other : out_.replaced) {
      if (other.name == name)
        throw Error(ErrorKind::input, "the adapter holds one tensor twice").file(file_).tensor(tensor.name);
    }
    out_.replaced.push_back({name, tensor});
  }

  void add_target(const std::string& module, Halves& halves) {
    if (!halves.down || !halves.up) {
      throw Error(ErrorKind::input, "the adapter lacks half of a module")
          .file(file_)
          .tensor(module)
          .expected(halves.down ? "its B matrix" : "its A matrix")
          .found("none");
    }
    LoraTarget target{
        .module = module, .down = *halves.down, .up = *halves.up, .embedding = halves.embedding};
    const LoraConfig& config = out_.config;
    target.rank = config.rank_of(module);
    target.scaling = config.scaling_of(module);
    target.parameter =
        std::any_of(config.target_parameters.begin(), config.target_parameters.end(),
                    [&](const std::string& name) { return ends_in_module(module + ".weight", name); });
    const Shape found = target.up.shape;
    if (!config.enabled.empty() && found.size() == 3 && found[2] == 1) split_slices(target);
    const Shape& a = target.down.shape;
    const Shape& b = target.up.shape;
    const bool sliced = target.up.shape != found;
    if (a.size() != 2 || b.size() != 2 || (!sliced && (a[0] != target.rank || b[1] != target.rank)) ||
        a[0] != b[1]) {
      throw Error(ErrorKind::input, "the adapter's matrices are not of the rank that its configuration says")
          .file(file_)
          .tensor(module)
          .expected("A [" + std::to_string(target.rank) + ", in], B [out, " + std::to_string(target.rank) +
                    "]")
          .found("A " + to_string(a) + ", B " + to_string(found));
    }
    if (config.dora != halves.magnitude.has_value()) {
      throw Error(ErrorKind::input, config.dora
                                        ? "the adapter is a DoRA and lacks the magnitudes of a module"
                                        : "the adapter has magnitudes but is no DoRA by its configuration")
          .file(file_)
          .tensor(module);
    }
    target.magnitude = std::move(halves.magnitude);
    target.up_bias = std::move(halves.up_bias);
    if (config.qalora_group > 0 && !target.embedding) {
      // The mean over each group, times the number of groups: PEFT's forward pass of QALoRA.
      target.scaling *= static_cast<double>(a[1]) / static_cast<double>(config.qalora_group);
      target.down.shape[1] = checked_mul(a[1], config.qalora_group, "the width of an adapter");
      target.down.data = repeated_cols(target.down.data, config.qalora_group);
    }
    out_.targets.push_back(std::move(target));
  }

  void split_slices(LoraTarget& target) const {
    const std::vector<bool>& enabled = out_.config.enabled;
    const auto count = static_cast<std::uint64_t>(std::count(enabled.begin(), enabled.end(), true));
    const Shape& a = target.down.shape;
    const Shape& b = target.up.shape;
    if (b[0] % count != 0 || b[1] != target.rank || a.size() != 2 ||
        a[0] != checked_mul(target.rank, count, "the rank of an adapter")) {
      throw Error(ErrorKind::input, "the adapter's matrices do not fit its enable_lora")
          .file(file_)
          .tensor(target.module)
          .expected("A [" + std::to_string(target.rank * count) + ", in], B [a multiple of " +
                    std::to_string(count) + ", " + std::to_string(target.rank) + ", 1]")
          .found("A " + to_string(a) + ", B " + to_string(b));
    }
    target.up = whole_up(target.up, target.rank, enabled);
  }

  fs::path file_;
  bool whole_state_ = false;
  LoraAdapter out_;
  std::map<std::pair<std::string, int>, Halves> modules_;
};

}  // namespace

LoraAdapter read_peft_adapter(const fs::path& folder) { return PeftReader(folder).read(); }

}  // namespace galatea
