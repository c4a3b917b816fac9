// What adapter_config.json says about a LoRA: PEFT from 0.1 to 0.18.
//
//   r, lora_alpha                  rank and strength; scaling = lora_alpha / r, or / sqrt(r) with use_rslora
//   rank_pattern, alpha_pattern    others for modules that match "(.*\.)?(KEY)$"; the first in the file wins
//   target_modules                 names (whole, or the last parts), one regular expression, or "all-linear"
//   exclude_modules, modules_to_save, layers_to_transform, layers_pattern
//                                  what of it is left out
//   bias, lora_bias, use_dora, use_qalora, trainable_token_indices, target_parameters
//                                  which other tensors there are
//   layer_replication              [[first, end), ...]: layers of the base that the model is made of; each copy
//                                  gets its own change, as the model computes (PEFT's merge adds the
//                                  changes of all copies to the weights that they share)
//   enable_lora                    0.1 and 0.2: a module's output in equal slices, only some of them changed
//
// Nothing is passed over: a key that is not known here is listed in `unused` unless it says nothing (null, false,
// "", [], {}), and what cannot be merged is an Error with the reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

/// Modules chosen by names or by a regular expression.
struct ModuleChoice {
  std::vector<std::string> names;  ///< "q_proj" chooses "q_proj" and everything that ends in ".q_proj"
  std::string pattern;             ///< re.fullmatch; used when there are no names
  bool all_linear = false;         ///< every module of the layers with a matrix

  bool empty() const { return names.empty() && pattern.empty() && !all_linear; }
  /// `linear`: the module is a matrix of a layer (neither embedding nor head).
  bool chooses(std::string_view module, bool linear) const;
};

struct LoraConfig {
  std::uint64_t rank = 0;
  double alpha = 0;
  bool rslora = false;
  bool fan_in_fan_out = false;  ///< read for what it says; without effect on torch.nn.Linear, as in PEFT
  bool dora = false;
  bool trains_biases = false;  ///< bias is "all" or "lora_only": those of the adapter replace the base's
  std::vector<std::pair<std::string, std::uint64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  ModuleChoice targets, excluded;
  std::vector<std::string> modules_to_save, layers_pattern, target_parameters;
  std::optional<std::vector<std::uint64_t>> layers;
  std::vector<std::pair<std::string, std::vector<std::uint64_t>>> tokens;  ///< module -> ids of its rows
  std::vector<std::pair<std::uint64_t, std::uint64_t>> replication;
  std::uint64_t qalora_group = 0;   ///< 0: none
  std::vector<bool> enabled;        ///< empty: no slices
  std::vector<std::string> unused;  ///< "key = value" of what is not understood

  std::uint64_t rank_of(std::string_view module) const;
  /// alpha / r or alpha / sqrt(r), both as the patterns say for this module.
  double scaling_of(std::string_view module) const;
  /// Does PEFT put a LoRA on this module?
  bool targets_module(std::string_view module, bool linear) const;
};

/// Throws Error(input) for another kind of adapter, for values that make no sense (rank 0, alpha not a number) and,
/// with the reason, for what cannot be merged: activated and routed adapters, LoftQ, and initialisations that
/// change the base (PiSSA, OLoRA, CorDA, LoRA-GA) unless they were converted when saved.
LoraConfig lora_config(const nlohmann::ordered_json& config, const std::filesystem::path& file);

/// Does `module` equal `name` or end in "." + name?
bool ends_in_module(std::string_view module, std::string_view name);

/// "a, b, c, ... (12 in all)".
std::string listed(const std::vector<std::string>& names);

}  // namespace galatea
