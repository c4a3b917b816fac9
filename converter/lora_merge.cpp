#include "converter/lora_merge.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "converter/hf_folder.h"
#include "format/checked.h"
#include "format/error.h"
#include "format/llama_tensors.h"
#include "format/pattern.h"

namespace galatea {
namespace {

constexpr std::string_view head_name = "lm_head.weight";
constexpr std::string_view embedding_name = "model.embed_tokens.weight";

/// "model.layers.0.mlp.up_proj.weight" -> "model.layers.0.mlp.up_proj".
std::string_view module_of(std::string_view tensor) { return tensor.substr(0, tensor.rfind('.')); }

bool is_linear(const Tensor& tensor) {
  return tensor.shape.size() == 2 && tensor.name != head_name && tensor.name != embedding_name &&
         tensor.name.ends_with(".weight");
}

class Merger {
 public:
  Merger(HfModel& model, const MergeOptions& options) : model_(model), options_(options) {}

  void apply(std::size_t number, const ScaledAdapter& scaled) {
    number_ = number;
    fit_vocabulary(scaled.adapter);
    adapter_ = &fitted_;
    unused_ = fitted_.unused;
    replicate_layers();
    for (const LoraReplacement& replacement : adapter_->replaced) replace(replacement);
    for (const LoraTarget& target : adapter_->targets) add(target, target.scaling * scaled.scale);
    for (const LoraTokens& tokens : adapter_->tokens) set_rows(tokens);
    check_settings();
    if (unused_.empty()) return;
    if (!options_.allow_unused) {
      throw Error(ErrorKind::input, "the adapter holds what is not understood or matches nothing in the base")
          .file(adapter_->path)
          .found(listed(unused_))
          .remedy(
              "merging without it may give wrong weights; where base and adapter do belong together, "
              "--allow-unused "
              "leaves it out");
    }
    result_.notes.push_back(adapter_->path.string() + ": left out: " + listed(unused_));
  }

  MergeResult finish() {
    if (options_.pad_to > 1) {
      const std::uint64_t before = model_.config.vocab_size;
      resize_vocabulary(align_up(before, options_.pad_to));
      if (model_.config.vocab_size != before) {
        result_.notes.push_back("the vocabulary of " + std::to_string(before) + " tokens was padded to " +
                                std::to_string(model_.config.vocab_size) + " rows by the mean of the others");
      }
    }
    for (Tensor& tensor : model_.tensors) {
      const TypeInfo& stored = type_info(tensor.type());
      if (!stored.floating && !stored.quantized()) continue;
      const auto found = changed_.find(tensor.name);
      std::shared_ptr<ChangeCounter> counter;
      RowsPtr base = tensor.data;
      if (found != changed_.end()) {
        counter = std::make_shared<ChangeCounter>(tensor.data->rows());
        base = found->second.base;
        tensor.file.clear();
        result_.tensors.push_back({tensor.name, found->second.applied, counter});
      } else if (options_.arithmetic != LoraArithmetic::exact && options_.loaded != DType::f32) {
        tensor.data = cast_rows(tensor.data, options_.loaded);
      }
      tensor.data = watched_rows(tensor.data, base, options_.type, tensor.name, counter);
    }
    return std::move(result_);
  }

 private:
  struct Changed {
    RowsPtr base;
    std::vector<AppliedChange> applied;
  };

  /// The tensor, noted as changed; its rows in the type of the loaded model. nullptr when there is none.
  Tensor* change(const std::string& name, const AppliedChange& what) {
    Tensor* tensor = find_tensor(model_, name);
    if (tensor == nullptr && name == head_name && model_.config.tied_embeddings) {
      untie("the adapter changes the output head");
      tensor = find_tensor(model_, name);
    } else if (tensor != nullptr && name == embedding_name && model_.config.tied_embeddings) {
      untie("the adapter changes the embedding");
      tensor = find_tensor(model_, name);
    }
    return tensor == nullptr ? nullptr : change_alone(name, what);
  }

  /// The same where embedding and head stay tied.
  Tensor* change_alone(const std::string& name, const AppliedChange& what) {
    Tensor* const tensor = find_tensor(model_, name);
    Changed& changed = changed_[name];
    if (changed.applied.empty()) {
      changed.base = tensor->data;
      if (options_.arithmetic != LoraArithmetic::exact)
        tensor->data = cast_rows(tensor->data, options_.loaded);
    }
    changed.applied.push_back(what);
    return tensor;
  }

  void untie(const std::string& why) {
    Tensor head = *find_tensor(model_, embedding_name);
    head.name = head_name;
    model_.tensors.push_back(std::move(head));
    model_.tensors = in_state_dict_order(std::move(model_.tensors));
    model_.config.tied_embeddings = false;
    result_.notes.push_back("the base shares one matrix as embedding and output head, and " + why +
                            ": the head is written as a matrix of its own (tie_word_embeddings false)");
  }

  /// Brings model and adapter to one vocabulary by the rule; the adapter that fits is in fitted_.
  void fit_vocabulary(const LoraAdapter& adapter) {
    fitted_ = adapter;
    const std::uint64_t own = model_.config.vocab_size;
    const std::optional<std::uint64_t> weights = vocabulary_of_weights(adapter);
    const std::optional<std::uint64_t> tokenizer = vocabulary_of_tokenizer(adapter);
    const bool grows = options_.vocabulary == VocabularyRule::grow;
    if (!weights || *weights == own) {
      if (!tokenizer || *tokenizer <= own) return;
      if (grows) resize_vocabulary(*tokenizer);
      result_.adapter_tokenizer = result_.adapter_tokenizer && grows;
      result_.notes.push_back(adapter.path.string() + ": its tokenizer files have " +
                              std::to_string(*tokenizer) + " tokens, the base " + std::to_string(own) +
                              " rows, and the adapter none for the others: " +
                              (grows ? "they are the mean of the base's"
                                     : "the base's tokenizer files are kept (--vocab grow adds rows)"));
      return;
    }
    if (!options_.vocabulary) {
      throw Error(ErrorKind::input, "base and adapter have different vocabularies")
          .file(adapter.path)
          .expected(std::to_string(own) + " tokens, as the base has")
          .found(std::to_string(*weights) + " tokens" +
                 (tokenizer ? "; with the added tokens of its tokenizer files " + std::to_string(*tokenizer)
                            : ""))
          .remedy("--vocab grow takes the larger number, trim the smaller, keep the base's");
    }
    const std::uint64_t count = grows                                         ? std::max(own, *weights)
                                : options_.vocabulary == VocabularyRule::trim ? std::min(own, *weights)
                                                                              : own;
    resize_vocabulary(count);
    fitted_ = with_vocabulary(adapter, model_, count);
    result_.adapter_tokenizer = result_.adapter_tokenizer && (!tokenizer || *tokenizer <= count);
    result_.notes.push_back(adapter.path.string() + ": " + std::to_string(*weights) + " tokens, the base " +
                            std::to_string(own) + ": the model gets " + std::to_string(count));
  }

  void resize_vocabulary(std::uint64_t count) {
    if (count == model_.config.vocab_size) return;
    for (const std::string_view name : {embedding_name, head_name}) {
      if (find_tensor(model_, name) == nullptr) continue;  // a tied head
      Tensor& tensor = *change_alone(std::string(name), {number_, "vocabulary", 0, 1});
      tensor.data = with_row_count(tensor.data, count);
      tensor.shape[0] = count;
    }
    model_.config.vocab_size = count;
  }

  void replicate_layers() {
    const auto& ranges = adapter_->config.replication;
    if (ranges.empty()) return;
    if (!changed_.empty()) {
      throw Error(ErrorKind::input, "an adapter that replicates layers has to be the first")
          .file(adapter_->path);
    }
    std::vector<Tensor> tensors;
    std::uint64_t count = 0;
    for (const auto& [first, end] : ranges) {
      if (end > model_.config.layers) {
        throw Error(ErrorKind::input,
                    "the adapter's layer_replication names layers that the base does not have")
            .file(adapter_->path)
            .expected("at most " + std::to_string(model_.config.layers))
            .found(std::to_string(end));
      }
      for (std::uint64_t layer = first; layer < end; ++layer) {
        const std::string from = "model.layers." + std::to_string(layer) + ".";
        const std::string to = "model.layers." + std::to_string(count++) + ".";
        for (const Tensor& tensor : model_.tensors) {
          if (!tensor.name.starts_with(from)) continue;
          tensors.push_back(tensor);
          tensors.back().name = to + tensor.name.substr(from.size());
        }
        if (count > 10'000)
          throw Error(ErrorKind::input, "the adapter replicates too many layers").file(adapter_->path);
      }
    }
    for (const Tensor& tensor : model_.tensors) {
      if (!tensor.name.starts_with("model.layers.")) tensors.push_back(tensor);
    }
    model_.tensors = in_state_dict_order(std::move(tensors));
    result_.notes.push_back("the model is made of " + std::to_string(count) +
                            " layers, copies of the base's " + std::to_string(model_.config.layers));
    model_.config.layers = count;
  }

  void replace(const LoraReplacement& replacement) {
    Tensor* const tensor = change(replacement.name, {number_, "replaced", 0, 1});
    if (tensor == nullptr) {
      unused_.push_back(replacement.tensor.name);
      return;
    }
    if (tensor->shape != replacement.tensor.shape) refuse_shape(*tensor, replacement.tensor.shape);
    tensor->data = options_.arithmetic == LoraArithmetic::exact
                       ? replacement.tensor.data
                       : cast_rows(replacement.tensor.data, options_.loaded);
  }

  [[noreturn]] void refuse_shape(const Tensor& tensor, const Shape& found) const {
    throw Error(ErrorKind::input, "a tensor of the adapter has another shape than the base's")
        .file(adapter_->path)
        .tensor(tensor.name)
        .expected(to_string(tensor.shape))
        .found(to_string(found));
  }

  void add(const LoraTarget& target, double scaling) {
    const std::string name = target.module + ".weight";
    const Tensor* const there = find_tensor(model_, name);
    const bool head_of_tied = name == head_name && model_.config.tied_embeddings;
    if ((there == nullptr && !head_of_tied) || (there != nullptr && there->shape.size() != 2)) {
      unused_.push_back(target.module);
      return;
    }
    const std::string_view kind = target.magnitude   ? "dora"
                                  : target.embedding ? "embedding"
                                  : target.parameter ? "parameter"
                                                     : "lora";
    Tensor* const tensor = change(name, {number_, kind, target.rank, scaling});
    // PEFT resets fan_in_fan_out, with a warning, for torch.nn.Linear, which every linear layer of a LLaMA is.
    LoraUpdate update{.down = target.down.data,
                      .up = target.up.data,
                      .scaling = scaling,
                      .transposed = target.embedding,
                      .parameter = target.parameter};
    try {
      if (target.magnitude) update.magnitude = read_all_f32(*target.magnitude);
      if (target.rotary_interleaved) {
        const LlamaConfig& config = model_.config;
        update.up = reorder_rows(
            update.up,
            rotary_interleaved_to_half(name.ends_with("q_proj.weight") ? config.heads : config.kv_heads,
                                       config.head_dim));
      }
      tensor->data = lora_rows(tensor->data, update, {options_.arithmetic, options_.loaded});
      if (target.up_bias) add_bias(target, scaling);
    } catch (Error& error) {
      throw error.file(adapter_->path).tensor(target.module);
    }
  }

  /// bias + scaling * (bias of B): the product of a column of rank 1 with [1].
  void add_bias(const LoraTarget& target, double scaling) {
    Tensor* const bias = change(target.module + ".bias", {number_, "bias", 0, scaling});
    if (bias == nullptr || bias->shape != target.up_bias->shape) {
      throw Error(ErrorKind::input, "the adapter has a bias for a module without one")
          .expected(bias == nullptr ? "a bias in the base" : to_string(bias->shape))
          .found(bias == nullptr ? "none" : to_string(target.up_bias->shape));
    }
    const float one = 1.0F;
    bias->data = lora_rows(
        bias->data,
        {.down = memory_rows(std::span(&one, 1), 1, 1), .up = target.up_bias->data, .scaling = scaling},
        {options_.arithmetic == LoraArithmetic::exact ? LoraArithmetic::exact
                                                      : LoraArithmetic::peft,  // safe_merge too
         options_.loaded});
  }

  void set_rows(const LoraTokens& tokens) {
    const std::string name = tokens.module + ".weight";
    const AppliedChange what{number_, "rows", 0, 1};
    // PEFT trains single tokens of a shared matrix for embedding and head together: they stay tied.
    const bool shared =
        name == embedding_name && model_.config.tied_embeddings && find_tensor(model_, name) != nullptr;
    Tensor* const tensor = shared ? change_alone(name, what) : change(name, what);
    if (tensor == nullptr) {
      unused_.push_back(tokens.rows.name);
      return;
    }
    try {
      tensor->data = replaced_rows(tensor->data, tokens.rows.data, tokens.ids);
    } catch (Error& error) {
      throw error.file(adapter_->path).tensor(tokens.module);
    }
  }

  /// Settings that chose nothing, and tensors that the settings do not choose.
  void check_settings() {
    const LoraConfig& config = adapter_->config;
    std::vector<std::string> modules;
    for (const LoraTarget& target : adapter_->targets) {
      if (target.parameter) continue;
      modules.push_back(target.module);
      const Tensor* const tensor = find_tensor(model_, target.module + ".weight");
      const bool linear = tensor != nullptr && is_linear(*tensor);
      if (!config.targets.empty() && !config.targets_module(target.module, linear))
        unused_.push_back(target.module + " (not of target_modules)");
    }
    for (const Tensor& tensor : model_.tensors) {
      if (config.targets.empty() || tensor.shape.size() != 2 || !tensor.name.ends_with(".weight")) continue;
      const std::string_view module = module_of(tensor.name);
      const bool saved = std::any_of(adapter_->replaced.begin(), adapter_->replaced.end(),
                                     [&](const LoraReplacement& one) { return one.name == tensor.name; });
      if (config.targets_module(module, is_linear(tensor)) && !saved &&
          std::find(modules.begin(), modules.end(), module) == modules.end())
        unused_.push_back("target_modules: nothing is there for " + std::string(module));
    }
    const auto matches_any = [&](const auto& holds) {
      return std::any_of(modules.begin(), modules.end(), holds);
    };
    for (const std::string& name : config.targets.names) {
      if (!matches_any([&](const std::string& module) { return ends_in_module(module, name); }) &&
          !is_token_module(name) && !config.excluded.chooses(name, true))
        unused_.push_back("target_modules: " + name);
    }
    check_pattern_keys(config.rank_pattern, "rank_pattern: ", modules);
    check_pattern_keys(config.alpha_pattern, "alpha_pattern: ", modules);
    for (const std::string& name : config.modules_to_save) {
      if (std::none_of(adapter_->replaced.begin(), adapter_->replaced.end(), [&](const LoraReplacement& one) {
            return module_of(one.name).ends_with(name) || one.name.find(name + ".") != std::string::npos;
          }))
        unused_.push_back("modules_to_save: " + name);
    }
    for (const auto& [name, ids] : config.tokens) {
      if (std::none_of(
              adapter_->tokens.begin(), adapter_->tokens.end(),
              [&, wanted = name](const LoraTokens& one) { return ends_in_module(one.module, wanted); }))
        unused_.push_back("trainable_token_indices: " + name);
    }
    for (const std::string& name : config.target_parameters) {
      if (std::none_of(adapter_->targets.begin(), adapter_->targets.end(), [&](const LoraTarget& one) {
            return one.parameter && ends_in_module(one.module + ".weight", name);
          }))
        unused_.push_back("target_parameters: " + name);
    }
  }

  bool is_token_module(std::string_view name) const {
    return std::any_of(adapter_->tokens.begin(), adapter_->tokens.end(),
                       [&](const LoraTokens& one) { return ends_in_module(one.module, name); });
  }

  template <class Patterns>
  void check_pattern_keys(const Patterns& patterns, const std::string& label,
                          const std::vector<std::string>& modules) {
    for (const auto& [key, value] : patterns) {
      const Pattern pattern("(.*\\.)?(" + key + ")$");
      if (std::none_of(modules.begin(), modules.end(),
                       [&](const std::string& module) { return pattern.matches(module); }))
        unused_.push_back(label + key);
    }
  }

  HfModel& model_;
  const MergeOptions& options_;
  std::size_t number_ = 0;
  LoraAdapter fitted_;
  const LoraAdapter* adapter_ = nullptr;
  std::vector<std::string> unused_;
  std::map<std::string, Changed, std::less<>> changed_;
  MergeResult result_;
};

}  // namespace

AdapterArgument parse_adapter_argument(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::error_code ignored;
  if (colon != std::string_view::npos && colon > 0 && !std::filesystem::exists(text, ignored)) {
    double scale = 0;
    const auto [end, code] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), scale);
    if (code == std::errc() && end == text.data() + text.size()) {
      if (!std::isfinite(scale))
        throw Error(ErrorKind::usage, "the scale of an adapter has to be finite")
            .found(text.substr(colon + 1));
      return {text.substr(0, colon), scale};
    }
  }
  return {text, 1};
}

MergeResult merge_adapters(HfModel& model, const std::vector<ScaledAdapter>& adapters,
                           const MergeOptions& options) {
  Merger merger(model, options);
  for (std::size_t i = 0; i < adapters.size(); ++i) merger.apply(i, adapters[i]);
  return merger.finish();
}

std::string describe_arithmetic(const MergeOptions& options) {
  if (options.arithmetic == LoraArithmetic::exact)
    return "exact: B @ A, its scaling and all sums in float64, rounded once to the type that is written";
  const std::string loaded(type_info(options.loaded).name);
  const bool safe = options.arithmetic == LoraArithmetic::peft_safe;
  std::string text = safe ? "peft-safe: merge_and_unload(safe_merge=True)" : "peft: merge_and_unload";
  text += options.loaded == DType::f32 && !safe ? " of PEFT 0.4.0 to 0.18.0" : " of PEFT 0.18.0";
  text +=
      " on a model loaded as " + (options.loaded == DType::f32 ? "float32" : loaded) +
      ", with the product of torch on a processor with AVX-512: delta = scaling * (B @ A) in float32, fused "
      "multiply-adds over the rank in order; ";
  if (safe) return text + "delta rounded to the loaded type, then W + delta";
  if (options.loaded == DType::f32)
    return text + "W + delta in float32, rounded once to the type that is written";
  return text + "W + delta rounded once to " + loaded + ", on embeddings delta first";
}

}  // namespace galatea
