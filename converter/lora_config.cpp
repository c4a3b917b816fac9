#include "converter/lora_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/pattern.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

/// How it was trained, where it came from, how it runs: nothing that a merge has to know.
constexpr std::array<std::string_view, 18> harmless = {
    "auto_mapping",      "base_model_name_or_path",
    "inference_mode",    "lora_dropout",
    "peft_version",      "revision",
    "task_type",         "megatron_core",
    "megatron_config",   "runtime_config",
    "peft_type",         "merge_weights",
    "loftq_config",      "eva_config",
    "corda_config",      "lora_ga_config",
    "qalora_group_size", "bias",
};

constexpr std::array<std::string_view, 20> read_here = {
    "r",
    "lora_alpha",
    "use_rslora",
    "fan_in_fan_out",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "exclude_modules",
    "modules_to_save",
    "layers_pattern",
    "layers_to_transform",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "use_qalora",
    "enable_lora",
    "init_lora_weights",
    "lora_bias",
    "fan_in_fan_out",
};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Says nothing: null, false, "", [], {}.
bool is_empty(const json& value) {
  return value.is_null() || value == json(false) || value == json("") ||
         (value.is_structured() && value.empty());
}

std::string text_of(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

class Reader {
 public:
  Reader(const json& config, const fs::path& file) : config_(config), file_(file) {}

  [[noreturn]] void refuse(const std::string& key, std::string_view expected) const {
    const auto found = config_.find(key);
    throw Error(ErrorKind::input, "the adapter's " + key + " makes no sense")
        .file(file_)
        .expected(expected)
        .found(found == config_.end() ? "no such entry" : text_of(*found));
  }
  /// The value, or null.
  const json& at(const std::string& key) const {
    static const json nothing;
    const auto found = config_.find(key);
    return found == config_.end() ? nothing : *found;
  }
  bool flag(const std::string& key) const {
    const json& value = at(key);
    if (value.is_null()) return false;
    if (!value.is_boolean()) refuse(key, "true or false");
    return value.get<bool>();
  }
  double number(const std::string& key, const json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, "a finite number");
    return value.get<double>();
  }
  std::uint64_t whole(const std::string& key, const json& value, std::uint64_t least,
                      std::uint64_t most) const {
    const std::string expected =
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    const double found = value.is_number() ? value.get<double>() : -1;
    if (!(found >= static_cast<double>(least) && found <= static_cast<double>(most)) ||
        found != std::floor(found))
      refuse(key, expected);
    return static_cast<std::uint64_t>(found);
  }
  std::vector<std::string> strings(const std::string& key) const {
    const json& value = at(key);
    if (value.is_null()) return {};
    if (value.is_string())
      return value.get<std::string>().empty() ? std::vector<std::string>()
                                              : std::vector{value.get<std::string>()};
    if (!value.is_array()) refuse(key, "a list of names");
    std::vector<std::string> out;
    for (const json& entry : value) {
      if (!entry.is_string()) refuse(key, "a list of names");
      out.push_back(entry.get<std::string>());
    }
    return out;
  }
  std::vector<std::uint64_t> wholes(const std::string& key, const json& value, std::uint64_t most) const {
    if (!value.is_array()) refuse(key, "a list of whole numbers");
    std::vector<std::uint64_t> out;
    for (const json& entry : value) out.push_back(whole(key, entry, 0, most));
    return out;
  }
  ModuleChoice choice(const std::string& key) const {
    ModuleChoice out;
    const json& value = at(key);
    if (!value.is_string()) {
      out.names = strings(key);
    } else if (value == json("all-linear")) {
      out.all_linear = true;
    } else {
      out.pattern = value.get<std::string>();
      if (!out.pattern.empty()) check(out.pattern);
    }
    return out;
  }
  void check(const std::string& pattern) const {
    try {
      steps_ += Pattern(pattern).steps();
      if (steps_ > max_steps)
        throw Error(ErrorKind::input, "the patterns of the adapter's configuration are too large together");
    } catch (Error& error) {
      throw error.file(file_);
    }
  }

  const json& config_;
  const fs::path& file_;

 private:
  static constexpr std::size_t max_steps = 200'000;
  mutable std::size_t steps_ = 0;
};

std::string key_pattern(const std::string& key) { return "(.*\\.)?(" + key + ")$"; }

void refuse_init(const json& init, const fs::path& file) {
  if (!init.is_string()) return;
  const auto text = init.get<std::string>();
  if (text == "gaussian" || text == "orthogonal" || text == "eva" || text.empty()) return;
  Error error(ErrorKind::input, "the adapter belongs to another base than the published one");
  error.file(file).found("init_lora_weights = " + printable(text));
  if (text == "loftq") {
    throw error.expected("an adapter on the plain weights")
        .remedy(
            "LoftQ starts from a quantized base that it makes itself: merge on that base, with what made it");
  }
  if (text.starts_with("pissa") || text == "olora" || text == "corda" || text == "lora_ga") {
    throw error.expected("an adapter that was converted to a plain LoRA when it was saved")
        .remedy(
            "this start takes its matrices out of the base, and what is left depends on how they were "
            "computed: save "
            "it again with save_pretrained(..., path_initial_model_for_weight_conversion=...)");
  }
  throw error.remedy("this start is not known, and it may have changed the base");
}

void refuse_unmergeable(const Reader& reader) {
  struct Reason {
    const char *key, *reason;
  };
  constexpr std::array<Reason, 6> reasons = {{
      {"alora_invocation_tokens", "an activated LoRA acts only after its invocation tokens"},
      {"arrow_config", "Arrow chooses among adapters for every token"},
      {"use_bdlora", "its block-diagonal matrices are not known here"},
      {"monteclora_config", "its weights are random draws"},
      {"velora_config", "its weights are stored in a way that is not known here"},
      {"kasa_config", "its weights are stored in a way that is not known here"},
  }};
  for (const Reason& entry : reasons) {
    if (is_empty(reader.at(entry.key))) continue;
    throw Error(ErrorKind::input, "the adapter cannot be merged")
        .file(reader.file_)
        .found(std::string(entry.key) + " = " + printable(text_of(reader.at(entry.key))))
        .remedy(entry.reason);
  }
}

void read_patterns(const Reader& reader, LoraConfig& out) {
  for (const char* const key : {"rank_pattern", "alpha_pattern"}) {
    const json& patterns = reader.at(key);
    if (patterns.is_null()) continue;
    if (!patterns.is_object()) reader.refuse(key, "an object of patterns");
    for (const auto& [pattern, value] : patterns.items()) {
      reader.check(key_pattern(pattern));
      if (key == std::string_view("rank_pattern")) {
        out.rank_pattern.emplace_back(pattern, reader.whole(key, value, 1, 65536));
      } else {
        out.alpha_pattern.emplace_back(pattern, reader.number(key, value));
      }
    }
  }
}

void read_lists(const Reader& reader, LoraConfig& out) {
  out.targets = reader.choice("target_modules");
  out.excluded = reader.choice("exclude_modules");
  out.modules_to_save = reader.strings("modules_to_save");
  out.target_parameters = reader.strings("target_parameters");
  out.layers_pattern = reader.strings("layers_pattern");
  for (const std::string& pattern : out.layers_pattern) reader.check(".*\\." + pattern);
  constexpr std::uint64_t most = 1'000'000'000;
  const json& layers = reader.at("layers_to_transform");
  if (layers.is_number()) out.layers = {{reader.whole("layers_to_transform", layers, 0, most)}};
  if (layers.is_array() && !layers.empty()) out.layers = reader.wholes("layers_to_transform", layers, most);
  const json& tokens = reader.at("trainable_token_indices");
  if (tokens.is_array() && !tokens.empty())
    out.tokens.emplace_back("embed_tokens", reader.wholes("trainable_token_indices", tokens, most));
  if (tokens.is_object()) {
    for (const auto& [module, ids] : tokens.items())
      out.tokens.emplace_back(module, reader.wholes("trainable_token_indices", ids, most));
  }
  const json& replication = reader.at("layer_replication");
  if (!replication.is_null() && !replication.is_array())
    reader.refuse("layer_replication", "a list of pairs");
  for (const json& range : replication) {
    const std::vector<std::uint64_t> ends = reader.wholes("layer_replication", range, 100'000);
    if (ends.size() != 2 || ends[0] >= ends[1]) reader.refuse("layer_replication", "pairs [first, end)");
    out.replication.emplace_back(ends[0], ends[1]);
  }
  const json& enabled = reader.at("enable_lora");
  if (enabled.is_array() && enabled.size() > 64) reader.refuse("enable_lora", "at most 64 slices");
  if (enabled.is_array()) {
    for (const json& value : enabled) {
      if (!value.is_boolean()) reader.refuse("enable_lora", "a list of true and false");
      out.enabled.push_back(value.get<bool>());
    }
    if (!out.enabled.empty() && std::find(out.enabled.begin(), out.enabled.end(), true) == out.enabled.end())
      reader.refuse("enable_lora", "at least one true");
  } else if (!is_empty(enabled)) {
    reader.refuse("enable_lora", "a list of true and false");
  }
}

/// The number in the ".N." of a module's name that stands behind one of the patterns (behind anything when
/// there are none); PEFT takes the last.
std::optional<std::uint64_t> layer_of(std::string_view module, const std::vector<std::string>& patterns) {
  std::optional<std::uint64_t> found;
  for (std::size_t dot = module.find('.'); dot != std::string_view::npos; dot = module.find('.', dot + 1)) {
    std::uint64_t number = 0;
    const char* const first = module.data() + dot + 1;
    const auto [end, code] = std::from_chars(first, module.data() + module.size(), number);
    if (code != std::errc() || end == module.data() + module.size() || *end != '.') continue;
    const std::string_view before = module.substr(0, dot);
    const bool fits = patterns.empty()
                          ? before.find('.') != std::string_view::npos
                          : std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
                              return Pattern(".*\\." + pattern).matches(before);
                            });
    if (fits) found = number;
  }
  return found;
}

}  // namespace

bool ends_in_module(std::string_view module, std::string_view name) {
  return module == name || (module.size() > name.size() && module.ends_with(name) &&
                            module[module.size() - name.size() - 1] == '.');
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 8;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > shown) text += ", ... (" + std::to_string(names.size()) + " in all)";
  return text;
}

bool ModuleChoice::chooses(std::string_view module, bool linear) const {
  if (all_linear) return linear;
  if (!pattern.empty()) return Pattern(pattern).matches(module);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return ends_in_module(module, name); });
}

std::uint64_t LoraConfig::rank_of(std::string_view module) const {
  for (const auto& [key, value] : rank_pattern) {
    if (Pattern(key_pattern(key)).matches(module)) return value;
  }
  return rank;
}

double LoraConfig::scaling_of(std::string_view module) const {
  double strength = alpha;
  for (const auto& [key, value] : alpha_pattern) {
    if (!Pattern(key_pattern(key)).matches(module)) continue;
    strength = value;
    break;
  }
  const auto r = static_cast<double>(rank_of(module));
  return strength / (rslora ? std::sqrt(r) : r);
}

bool LoraConfig::targets_module(std::string_view module, bool linear) const {
  if (excluded.chooses(module, linear)) return false;
  if (!targets.chooses(module, linear)) return false;
  const bool by_whole_name =
      std::find(targets.names.begin(), targets.names.end(), module) != targets.names.end();
  if (!layers || by_whole_name || targets.names.empty()) return true;
  const std::optional<std::uint64_t> layer = layer_of(module, layers_pattern);
  return layer && std::find(layers->begin(), layers->end(), *layer) != layers->end();
}

LoraConfig lora_config(const json& config, const fs::path& file) {
  if (!config.is_object()) throw Error(ErrorKind::input, "this is no adapter configuration").file(file);
  const Reader reader(config, file);
  const json& type = reader.at("peft_type");
  if (!type.is_null() && type != json("LORA")) {
    throw Error(ErrorKind::input, "the adapter is of another kind")
        .file(file)
        .expected("peft_type LORA")
        .found("peft_type " + text_of(type));
  }
  refuse_unmergeable(reader);
  refuse_init(reader.at("init_lora_weights"), file);
  LoraConfig out;
  out.rank = reader.whole("r", reader.at("r"), 1, 65536);
  out.alpha = reader.number("lora_alpha", reader.at("lora_alpha"));
  out.rslora = reader.flag("use_rslora");
  out.fan_in_fan_out = reader.flag("fan_in_fan_out");
  out.dora = reader.flag("use_dora");
  const json& bias = reader.at("bias");
  if (!is_empty(bias) && bias != json("none") && bias != json("all") && bias != json("lora_only"))
    reader.refuse("bias", "none, all or lora_only");
  out.trains_biases = bias == json("all") || bias == json("lora_only");
  read_patterns(reader, out);
  read_lists(reader, out);
  if (reader.flag("use_qalora"))
    out.qalora_group = reader.whole("qalora_group_size", reader.at("qalora_group_size"), 1, 1U << 20U);
  for (const auto& [key, value] : config.items()) {
    if (!is_one_of(harmless, key) && !is_one_of(read_here, key) && !is_empty(value))
      out.unused.push_back(key + " = " + text_of(value));
  }
  return out;
}

}  // namespace galatea
