#include "converter/hf_side_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/error.h"
#include "format/python_json.h"

namespace galatea {
namespace {

using nlohmann::ordered_json;

const std::array<HfGeneration, 6>& generations() {
  static const std::array<HfGeneration, 6> table = {{
      {"pygmalion", "4.28.0.dev0", 2048, DType::f32, "base of the Pygmalion and Metharme releases"},
      {"pygmalion-2byte", "4.28.0.dev0", 2048, DType::f16, "the same with 2-byte rotary buffers"},
      {"4.28", "4.28.1", 0, DType::f32, "transformers 4.28.1, accelerate 0.18"},
      {"oasst", "4.29.0.dev0", 0, DType::f32, "base of the Open-Assistant 30B releases"},
      {"oasst-2byte", "4.29.0.dev0", 0, DType::f16, "the same with 2-byte rotary buffers"},
      {"4.30", "4.30.0.dev0", 0, DType::f32, "transformers of May 2023"},
  }};
  return table;
}

constexpr std::array<std::string_view, 15> versions_of_2023 = {
    "4.28.0.dev0", "4.29.0.dev0", "4.28.1", "4.29.1", "4.29.2",      "4.30.0.dev0", "4.28.0", "4.29.0",
    "4.30.0",      "4.30.1",      "4.30.2", "4.27.4", "4.27.0.dev0", "4.31.0.dev0", "4.31.0"};

std::string text_of(const ordered_json& document) {
  return python_json(document, {.indent = 2, .sort_keys = true, .ensure_ascii = true}) + "\n";
}

ordered_json special_token(const std::string& content) {
  return {{"content", content},
          {"lstrip", false},
          {"normalized", true},
          {"rstrip", false},
          {"single_word", false}};
}

ordered_json special_tokens(const TokenizerNames& names) {
  ordered_json tokens = ordered_json::object();
  if (!names.bos.empty()) tokens["bos_token"] = special_token(names.bos);
  if (!names.eos.empty()) tokens["eos_token"] = special_token(names.eos);
  if (!names.unknown.empty()) tokens["unk_token"] = special_token(names.unknown);
  return tokens;
}

/// As transformers reads it; "type" is what versions before 4.43 ask for.
ordered_json rope_scaling(const RopeScaling& scaling) {
  using Kind = RopeScaling::Kind;
  if (scaling.kind == Kind::linear)
    return {{"factor", scaling.factor}, {"rope_type", "linear"}, {"type", "linear"}};
  if (scaling.kind == Kind::dynamic)
    return {{"factor", scaling.factor}, {"rope_type", "dynamic"}, {"type", "dynamic"}};
  const bool whole =
      scaling.original_context < 0x1p53 && scaling.original_context == std::floor(scaling.original_context);
  const ordered_json original = whole ? ordered_json(static_cast<std::uint64_t>(scaling.original_context))
                                      : ordered_json(scaling.original_context);
  return {{"factor", scaling.factor},
          {"high_freq_factor", scaling.high_frequency},
          {"low_freq_factor", scaling.low_frequency},
          {"original_max_position_embeddings", original},
          {"rope_type", "llama3"}};
}

}  // namespace

std::span<const HfGeneration> hf_generations() { return generations(); }

const HfGeneration& find_hf_generation(std::string_view name) {
  const auto* const found =
      std::find_if(generations().begin(), generations().end(),
                   [&](const HfGeneration& generation) { return generation.name == name; });
  if (found != generations().end()) return *found;
  std::string known;
  for (const HfGeneration& generation : generations())
    known += (known.empty() ? "" : ", ") + std::string(generation.name);
  throw Error(ErrorKind::usage, "no such profile").expected("one of " + known).found(name);
}

TorchGeneration find_torch_generation(std::string_view version) {
  int major = 0, minor = 0;
  const char* const end = version.data() + version.size();
  const auto first = std::from_chars(version.data(), end, major);
  const bool dotted = first.ec == std::errc() && first.ptr != end && *first.ptr == '.';
  const auto second = dotted ? std::from_chars(first.ptr + 1, end, minor) : first;
  const std::pair number{major, minor};
  if (!dotted || second.ec != std::errc() || (second.ptr != end && *second.ptr != '.') ||
      number < std::pair{1, 6}) {
    throw Error(ErrorKind::usage, "this is no version of torch that wrote zip files")
        .expected("a version from 1.6 on, like 1.13, 2.1, 2.7")
        .found(version);
  }
  if (number >= std::pair{2, 7}) return TorchGeneration::torch_2_7;
  return number >= std::pair{2, 1} ? TorchGeneration::torch_2_1 : TorchGeneration::torch_1_6;
}

std::span<const std::string_view> transformers_versions_of_2023() { return versions_of_2023; }

std::string torch_dtype_name(DType type) {
  switch (type) {
    case DType::f64:
      return "float64";
    case DType::f32:
      return "float32";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    default:
      throw Error(ErrorKind::usage, "the configuration of a model cannot name its weights' type")
          .expected("F64, F32, F16 or BF16")
          .found(type_info(type).name);
  }
}

std::string config_json(const LlamaConfig& config, DType type, std::string_view transformers_version) {
  LlamaConfig plain = config;
  plain.rope_scaling = {};
  plain.require_plain_attention();
  ordered_json document = {
      {"architectures", {"LlamaForCausalLM"}},
      {"bos_token_id", config.bos_id},
      {"eos_token_id", config.eos_id},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"initializer_range", 0.02},
      {"intermediate_size", config.intermediate_size},
      {"max_position_embeddings", config.context},
      {"model_type", "llama"},
      {"num_attention_heads", config.heads},
      {"num_hidden_layers", config.layers},
      {"rms_norm_eps", config.rms_norm_eps},
      {"tie_word_embeddings", config.tied_embeddings},
      {"torch_dtype", torch_dtype_name(type)},
      {"transformers_version", transformers_version},
      {"use_cache", true},
      {"vocab_size", config.vocab_size},
  };
  if (config.pad_id >= 0) document["pad_token_id"] = config.pad_id;
  if (config.kv_heads != config.heads) document["num_key_value_heads"] = config.kv_heads;
  if (config.head_dim * config.heads != config.hidden_size) document["head_dim"] = config.head_dim;
  if (config.rope_theta != 10000.0) document["rope_theta"] = config.rope_theta;
  if (config.rope_scaling.kind != RopeScaling::Kind::none)
    document["rope_scaling"] = rope_scaling(config.rope_scaling);
  return text_of(document);
}

std::string generation_config_json(const LlamaConfig& config, std::string_view transformers_version) {
  ordered_json document = {{"_from_model_config", true},
                           {"bos_token_id", config.bos_id},
                           {"eos_token_id", config.eos_id},
                           {"transformers_version", transformers_version}};
  if (config.pad_id >= 0) document["pad_token_id"] = config.pad_id;
  return text_of(document);
}

std::string tokenizer_config_json(std::uint64_t model_max_length, const TokenizerNames& names) {
  ordered_json document = special_tokens(names);
  for (auto& [name, token] : document.items()) token["__type"] = "AddedToken";
  document["add_bos_token"] = true;
  document["add_eos_token"] = false;
  document["clean_up_tokenization_spaces"] = false;
  document["model_max_length"] =
      model_max_length == 0 ? big_integer("1000000000000000019884624838656") : ordered_json(model_max_length);
  document["pad_token"] = nullptr;
  document["sp_model_kwargs"] = ordered_json::object();
  document["tokenizer_class"] = "LlamaTokenizer";
  if (!names.chat_template.empty()) document["chat_template"] = names.chat_template;
  return text_of(document);
}

std::string special_tokens_map_json(const TokenizerNames& names) {
  ordered_json document = special_tokens(names);
  if (!names.pad.empty()) document["pad_token"] = names.pad;
  if (!names.additional.empty()) document["additional_special_tokens"] = names.additional;
  return text_of(document);
}

std::string added_tokens_json(const std::vector<AddedToken>& added) {
  ordered_json document = ordered_json::object();
  for (const AddedToken& token : added) document[token.text] = token.id;
  return python_json(document, {.indent = 2, .sort_keys = true, .ensure_ascii = false}) + "\n";
}

}  // namespace galatea
