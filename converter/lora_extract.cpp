#include "converter/lora_extract.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "converter/hf_folder.h"
#include "converter/lora_config.h"
#include "format/error.h"
#include "format/first_failure.h"
#include "format/python_json.h"
#include "format/safetensors.h"

namespace galatea {
namespace {

constexpr std::string_view head_name = "lm_head.weight";
constexpr std::string_view embedding_name = "model.embed_tokens.weight";

std::string module_of(std::string_view tensor) { return std::string(tensor.substr(0, tensor.rfind('.'))); }
std::string last_part(std::string_view module) { return std::string(module.substr(module.rfind('.') + 1)); }
bool is_bias(std::string_view tensor) { return tensor.ends_with(".bias"); }
bool is_matrix(const Tensor& tensor) { return tensor.shape.size() == 2 && tensor.name.ends_with(".weight"); }

/// Calls work(0) to work(count - 1) on all threads, and throws what one of them threw first.
template <class Work>
void in_parallel(std::size_t count, const Work& work) {
  FirstFailure failure;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::size_t i = 0; i < count; ++i) failure.guard([&] { work(i); });
  failure.rethrow();
}

bool differ(const Rows& a, const Rows& b, const Progress& progress) {
  const std::uint64_t step = std::max<std::uint64_t>(1, (1U << 20U) / std::max<std::uint64_t>(a.cols(), 1));
  std::vector<float> left, right;
  for (std::uint64_t first = 0; first < a.rows(); first += step) {
    if (progress.stop_requested()) throw interrupted();
    const std::uint64_t count = std::min(step, a.rows() - first);
    left.resize(static_cast<std::size_t>(count * a.cols()));
    right.resize(left.size());
    a.read_f32(first, count, left);
    b.read_f32(first, count, right);
    if (left != right) return true;  // NaN differs from itself, and is refused later
  }
  return false;
}

void require(bool same, std::string_view what, double base, double merged) {
  if (same) return;
  throw Error(ErrorKind::input, "the models differ in what an adapter cannot change")
      .expected(std::string(what) + " " + python_float_repr(base) + ", as the base has")
      .found(python_float_repr(merged));
}

void require_same_architecture(const LlamaConfig& base, const LlamaConfig& merged) {
  const auto whole = [](std::string_view what, std::uint64_t a, std::uint64_t b) {
    require(a == b, what, static_cast<double>(a), static_cast<double>(b));
  };
  whole("hidden_size", base.hidden_size, merged.hidden_size);
  whole("intermediate_size", base.intermediate_size, merged.intermediate_size);
  whole("num_hidden_layers", base.layers, merged.layers);
  whole("num_attention_heads", base.heads, merged.heads);
  whole("num_key_value_heads", base.kv_heads, merged.kv_heads);
  const auto near = [](double a, double b) { return static_cast<float>(a) == static_cast<float>(b); };
  require(near(base.rms_norm_eps, merged.rms_norm_eps), "rms_norm_eps", base.rms_norm_eps,
          merged.rms_norm_eps);
  require(near(base.rope_theta, merged.rope_theta), "rope_theta", base.rope_theta, merged.rope_theta);
}

/// The weights by name, a tied head under its own.
std::map<std::string, Tensor, std::less<>> weights_of(const HfModel& model) {
  std::map<std::string, Tensor, std::less<>> out;
  for (const Tensor& tensor : model.tensors) {
    if (!is_inv_freq(tensor.name)) out.emplace(tensor.name, tensor);
  }
  if (const auto embedding = out.find(embedding_name);
      model.config.tied_embeddings && embedding != out.end() && !out.contains(head_name)) {
    Tensor head = embedding->second;
    head.name = head_name;
    out.emplace(head.name, std::move(head));
  }
  return out;
}

class Comparison {
 public:
  Comparison(const HfModel& base, const HfModel& merged, const ExtractOptions& options, Progress& progress)
      : base_(weights_of(base)), merged_(weights_of(merged)), progress_(progress) {
    require_same_architecture(base.config, merged.config);
    out_.options = options;
    tied_ = base.config.tied_embeddings;
  }

  Extraction run() {
    pair_up();
    const std::vector<bool> changed = find_changes();
    const bool biases = any_bias(changed);
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      if (changed[i] || (biases && is_bias(pairs_[i].name))) out_.tensors.push_back(pairs_[i]);
    }
    if (out_.tensors.empty())
      throw Error(ErrorKind::input, "the models do not differ")
          .remedy("there is nothing to make an adapter of");
    if (tied_ && std::any_of(out_.tensors.begin(), out_.tensors.end(),
                             [](const ExtractedTensor& one) { return one.name == head_name; })) {
      out_.notes.emplace_back(
          "the base shares one matrix as embedding and output head; the adapter changes the head, so it has "
          "to be "
          "loaded with tie_word_embeddings false");
    }
    write_config(biases);
    return std::move(out_);
  }

 private:
  void pair_up() {
    std::vector<std::string> alone;
    for (const auto& [name, tensor] : base_) {
      if (!merged_.contains(name)) alone.push_back(name + " (only in the base)");
    }
    std::vector<Tensor> ordered;
    for (const auto& [name, tensor] : merged_) {
      if (!base_.contains(name)) alone.push_back(name + " (only in the merged model)");
      ordered.push_back(tensor);
    }
    if (!alone.empty()) {
      throw Error(ErrorKind::input,
                  "the models do not have the same tensors: an adapter can only change them")
          .found(listed(alone));
    }
    for (Tensor& tensor : in_state_dict_order(std::move(ordered))) {
      const Tensor& before = base_.at(tensor.name);
      ExtractedTensor pair{.name = tensor.name, .after = tensor, .before = before.data};
      const bool tokens = tensor.name == embedding_name || tensor.name == head_name;
      if (tensor.shape != before.shape) {
        if (!tokens || tensor.shape.size() != 2 || tensor.shape[1] != before.shape.at(1)) {
          throw Error(ErrorKind::input, "a tensor has another shape in the merged model")
              .tensor(tensor.name)
              .expected(to_string(before.shape))
              .found(to_string(tensor.shape));
        }
        pair.before = nullptr;
        pair.kind = ExtractedKind::whole;
        if (tensor.name == embedding_name) {
          out_.notes.push_back("the models have vocabularies of " + std::to_string(before.shape[0]) +
                               " and " + std::to_string(tensor.shape[0]) +
                               " tokens: embedding and output head are stored whole, as PEFT does");
        }
      } else if (is_matrix(tensor)) {
        pair.kind = tensor.name == embedding_name ? ExtractedKind::embedding : ExtractedKind::linear;
        pair.rank = std::min({out_.options.rank, tensor.shape[0], tensor.shape[1]});
      } else {
        pair.kind = ExtractedKind::whole;
      }
      pairs_.push_back(std::move(pair));
    }
  }

  std::vector<bool> find_changes() {
    std::uint64_t bytes = 0;
    for (const ExtractedTensor& pair : pairs_) bytes += pair.after.bytes();
    progress_.begin("comparing", bytes, "B");
    std::vector<char> changed(pairs_.size(), 0);  // threads write next to each other
    in_parallel(pairs_.size(), [&](std::size_t i) {
      const ExtractedTensor& pair = pairs_[i];
      changed[i] = pair.before == nullptr || differ(*pair.after.data, *pair.before, progress_) ? 1 : 0;
      progress_.advance(pair.after.bytes());
    });
    progress_.end();
    return {changed.begin(), changed.end()};
  }

  bool any_bias(const std::vector<bool>& changed) const {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      if (changed[i] && is_bias(pairs_[i].name)) return true;
    }
    return false;
  }

  /// "q_proj" where every module of that name has factors, else the modules' whole names.
  std::vector<std::string> target_modules() const {
    std::map<std::string, std::size_t> all, with_factors;
    for (const ExtractedTensor& pair : pairs_) {
      if (is_matrix(pair.after)) ++all[last_part(module_of(pair.name))];
    }
    for (const ExtractedTensor& one : out_.tensors) {
      if (one.rank > 0) ++with_factors[last_part(module_of(one.name))];
    }
    std::set<std::string> names;
    for (const ExtractedTensor& one : out_.tensors) {
      const std::string module = module_of(one.name);
      const std::string part = last_part(module);
      if (one.rank > 0) names.insert(all[part] == with_factors[part] ? part : module);
    }
    return {names.begin(), names.end()};
  }

  void write_config(bool biases) {
    using json = nlohmann::ordered_json;
    const ExtractOptions& options = out_.options;
    json ranks = json::object(), saved = json::array();
    for (const ExtractedTensor& one : out_.tensors) {
      const std::string module = module_of(one.name);
      if (one.rank > 0 && one.rank != options.rank) ranks[module] = one.rank;
      if (one.rank == 0 && one.before != nullptr && !is_bias(one.name)) saved.push_back(module);
    }
    json config = {{"base_model_name_or_path", options.base_name.empty() ? json() : json(options.base_name)},
                   {"bias", biases ? "all" : "none"},
                   {"fan_in_fan_out", false},
                   {"inference_mode", true},
                   {"init_lora_weights", true},
                   {"lora_alpha", options.rank},
                   {"lora_dropout", 0.0},
                   {"modules_to_save", saved.empty() ? json() : saved},
                   {"peft_type", "LORA"},
                   {"r", options.rank},
                   {"target_modules", target_modules()},
                   {"task_type", "CAUSAL_LM"}};
    if (!ranks.empty()) {
      config["alpha_pattern"] = ranks;
      config["rank_pattern"] = ranks;
    }
    if (out_.options.rank > 0 && target_modules().empty())
      throw Error(ErrorKind::input, "the models differ in no matrix: there is no LoRA to make")
          .found(listed(names_of_changes()));
    out_.config = python_json(config, {.indent = 2, .sort_keys = true, .ensure_ascii = true});
  }

  std::vector<std::string> names_of_changes() const {
    std::vector<std::string> names;
    for (const ExtractedTensor& one : out_.tensors) names.push_back(one.name);
    return names;
  }

  std::map<std::string, Tensor, std::less<>> base_, merged_;
  Progress& progress_;
  Extraction out_;
  std::vector<ExtractedTensor> pairs_;
  bool tied_ = false;
};

void round_to(DType type, std::vector<float>& values) {
  const TypeInfo& info = type_info(type);
  std::vector<std::byte> stored(values.size() * info.block_bytes);
  info.encode(values.data(), stored.data(), values.size());
  info.decode(stored.data(), values.data(), values.size());
}

/// Rows that a plan is laid out with before they exist.
class AnnouncedRows final : public Rows {
 public:
  using Rows::Rows;
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override {
    throw Error(ErrorKind::usage, "the rows of a plan for sizes alone were asked for");
  }
};

}  // namespace

std::string_view to_string(ExtractedKind kind) {
  switch (kind) {
    case ExtractedKind::linear:
      return "linear";
    case ExtractedKind::embedding:
      return "embedding";
    case ExtractedKind::whole:
      return "whole";
  }
  return "?";
}

Extraction compare_models(const HfModel& base, const HfModel& merged, const ExtractOptions& options,
                          Progress& progress) {
  return Comparison(base, merged, options, progress).run();
}

void compute_factors(Extraction& extraction, const TakeFactors& take, Progress& progress) {
  std::vector<std::size_t> order;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < extraction.tensors.size(); ++i) {
    if (extraction.tensors[i].rank == 0) continue;
    order.push_back(i);
    bytes += extraction.tensors[i].after.bytes();
  }
  // The largest first, so that no thread waits long for the last.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return extraction.tensors[a].after.bytes() > extraction.tensors[b].after.bytes();
  });
  progress.begin("factoring", bytes, "B");
  in_parallel(order.size(), [&](std::size_t i) {
    ExtractedTensor& one = extraction.tensors[order[i]];
    try {
      const RowsPtr difference = difference_rows(one.after.data, one.before);
      LowRank factors = low_rank(*difference, one.rank, progress);
      round_to(extraction.options.type, factors.up);
      round_to(extraction.options.type, factors.down);
      one.error = low_rank_error(*difference, factors.up, factors.down, one.rank);
      if (!std::isfinite(one.error.missed)) {
        throw Error(ErrorKind::input, "the factors do not fit into their type")
            .found(type_info(extraction.options.type).name)
            .remedy("--dtype F32");
      }
      if (one.kind == ExtractedKind::embedding) {
        take(order[i], transposed(factors.up, difference->rows(), one.rank),
             transposed(factors.down, one.rank, difference->cols()));
      } else {
        take(order[i], factors.down, factors.up);
      }
    } catch (Error& error) {
      throw error.tensor(one.name);
    }
    progress.advance(one.after.bytes());
  });
  progress.end();
}

Plan adapter_plan(const Extraction& extraction, const std::vector<FactorRows>& factors) {
  std::set<std::string> modules;
  for (const ExtractedTensor& one : extraction.tensors) {
    if (one.rank > 0) modules.insert(module_of(one.name));
  }
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < extraction.tensors.size(); ++i) {
    const ExtractedTensor& one = extraction.tensors[i];
    const std::string module = module_of(one.name);
    const std::string prefix = "base_model.model.";
    if (one.rank == 0) {
      const DType type = one.after.type();
      tensors.push_back(one.after);
      tensors.back().data =
          type_info(type).quantized() ? cast_rows(one.after.data, DType::f16) : one.after.data;
      std::string& name = tensors.back().name = prefix;
      if (is_bias(one.name) && modules.contains(module)) {
        name.append(module).append(".base_layer").append(one.name, module.size());
      } else {
        name += one.name;
      }
      continue;
    }
    const bool embedding = one.kind == ExtractedKind::embedding;
    const std::uint64_t in = one.after.shape[embedding ? 0 : 1];
    const std::uint64_t out = one.after.shape[embedding ? 1 : 0];
    const auto add = [&](const char* part, RowsPtr rows, std::uint64_t height, std::uint64_t width) {
      Tensor tensor;
      tensor.name = prefix + module + part;
      tensor.shape = {height, width};
      tensor.data = rows != nullptr ? cast_rows(std::move(rows), extraction.options.type)
                                    : std::make_shared<AnnouncedRows>(extraction.options.type, height, width);
      tensors.push_back(std::move(tensor));
    };
    add(embedding ? ".lora_embedding_A" : ".lora_A.weight", factors.empty() ? nullptr : factors[i].down,
        one.rank, in);
    add(embedding ? ".lora_embedding_B" : ".lora_B.weight", factors.empty() ? nullptr : factors[i].up, out,
        one.rank);
  }
  Plan plan;
  plan.files.push_back(
      safetensors_layout("adapter_model.safetensors", std::move(tensors), {{"format", "pt"}}));
  plan.files.push_back(literal_layout("adapter_config.json", extraction.config));
  return plan;
}

}  // namespace galatea
