#include "format/llama_config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "format/checked.h"
#include "format/error.h"

namespace galatea {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& field, const std::string& expected, const json& found) {
  throw Error(ErrorKind::input, "the configuration's \"" + field + "\" cannot be used")
      .expected(expected)
      .found(printable(found.dump(-1, ' ', false, json::error_handler_t::replace)));
}

bool is_set(const json& object, const char* field) {
  return object.contains(field) && !object.at(field).is_null();
}

std::uint64_t count_field(const json& object, const char* field, std::optional<std::uint64_t> fallback = {}) {
  if (!is_set(object, field)) {
    if (fallback) return *fallback;
    throw Error(ErrorKind::input, std::string("the configuration lacks \"") + field + "\"");
  }
  const json& value = object.at(field);
  if (!value.is_number_integer() || value < 0) refuse(field, "a whole number from 0", value);
  return value.get<std::uint64_t>();
}

double number_field(const json& object, const char* field, double fallback) {
  if (!is_set(object, field)) return fallback;
  const json& value = object.at(field);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(field, "a number", value);
  return value.get<double>();
}

std::int64_t id_field(const json& object, const char* field, std::int64_t fallback) {
  if (!is_set(object, field)) return fallback;
  const json& value = object.at(field);
  if (value.is_array() && !value.empty() && value.front().is_number_integer())
    return value.front().get<std::int64_t>();
  if (!value.is_number_integer()) refuse(field, "a token id", value);
  return value.get<std::int64_t>();
}

bool flag_field(const json& object, const char* field, bool fallback) {
  if (!is_set(object, field)) return fallback;
  if (!object.at(field).is_boolean()) refuse(field, "true or false", object.at(field));
  return object.at(field).get<bool>();
}

void require_value(const json& object, const char* field, const json& only) {
  if (is_set(object, field) && object.at(field) != only) refuse(field, only.dump(), object.at(field));
}

/// What rope_scaling or rope_parameters says.
void read_rope(const char* field, const json& rope, LlamaConfig& config) {
  using Kind = RopeScaling::Kind;
  if (!rope.is_object()) refuse(field, "an object", rope);
  config.rope_theta = number_field(rope, "rope_theta", config.rope_theta);
  const char* key = is_set(rope, "rope_type") ? "rope_type" : "type";
  const json type = is_set(rope, key) ? rope.at(key) : json("default");
  RopeScaling& scaling = config.rope_scaling;
  if (type == "linear") {
    scaling.kind = Kind::linear;
  } else if (type == "dynamic") {
    scaling.kind = Kind::dynamic;
  } else if (type == "llama3") {
    scaling.kind = Kind::llama3;
  } else if (type != "default" || rope.contains("factor")) {
    refuse(field, "rope_type default, linear, dynamic or llama3", rope);
  }
  if (scaling.kind == Kind::none) return;
  if (!is_set(rope, "factor")) refuse(field, "a \"factor\"", rope);
  scaling.factor = number_field(rope, "factor", 1);
  if (scaling.kind == Kind::llama3) {
    for (const char* needed : {"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
      if (!is_set(rope, needed)) refuse(field, std::string("\"") + needed + "\"", rope);
    }
    scaling.low_frequency = number_field(rope, "low_freq_factor", 1);
    scaling.high_frequency = number_field(rope, "high_freq_factor", 4);
    scaling.original_context = number_field(rope, "original_max_position_embeddings", 8192);
  }
  const bool sane = scaling.factor >= 1 && scaling.factor < 1e6 && scaling.low_frequency > 0 &&
                    scaling.high_frequency > scaling.low_frequency && scaling.original_context > 0;
  if (!sane) refuse(field, "factors that stretch", rope);
}

}  // namespace

void LlamaConfig::require_plain_attention() const {
  if (rope_scaling.kind == RopeScaling::Kind::none && sliding_window == 0) return;
  throw Error(ErrorKind::input, sliding_window != 0
                                    ? "the model has a sliding window, which cannot be written"
                                    : "the model has scaled rotary embeddings, which cannot be written")
      .expected("a model without rope_scaling and sliding_window")
      .remedy("galatea perplexity scores it as it is");
}

void LlamaConfig::validate() const {
  constexpr std::uint64_t most = std::uint64_t{1} << 24U;
  const auto sane = [](const char* field, std::uint64_t value) {
    if (value == 0 || value > most) {
      throw Error(ErrorKind::input, std::string("the model's ") + field + " is out of range")
          .expected("1 to " + std::to_string(most))
          .found(std::to_string(value));
    }
  };
  sane("vocabulary size", vocab_size);
  sane("hidden size", hidden_size);
  sane("feed-forward size", intermediate_size);
  sane("number of layers", layers);
  sane("number of heads", heads);
  sane("number of key-value heads", kv_heads);
  sane("head size", head_dim);
  sane("context length", context);
  if (layers > 10000)
    throw Error(ErrorKind::input, "the model's number of layers is out of range")
        .found(std::to_string(layers));
  if (heads % kv_heads != 0) {
    throw Error(ErrorKind::input, "the number of heads is no multiple of the number of key-value heads")
        .found(std::to_string(heads) + " and " + std::to_string(kv_heads));
  }
  if (head_dim % 2 != 0)
    throw Error(ErrorKind::input, "the head size is odd, rotary embedding needs pairs")
        .found(std::to_string(head_dim));
  if (!(rms_norm_eps > 0) || !(rope_theta > 0)) {
    throw Error(ErrorKind::input, "rms_norm_eps and rope_theta must be above 0");
  }
}

LlamaConfig config_from_hf(const json& object) {
  if (!object.is_object()) throw Error(ErrorKind::input, "config.json is not a JSON object");
  if (is_set(object, "architectures")) {
    const json& names = object.at("architectures");
    const bool known = names.is_array() && !names.empty() &&
                       (names[0] == "LlamaForCausalLM" || names[0] == "LLaMAForCausalLM" ||
                        names[0] == "MistralForCausalLM");
    if (!known) refuse("architectures", "LlamaForCausalLM or MistralForCausalLM", names);
  } else if (is_set(object, "model_type") && object.at("model_type") != "mistral") {
    require_value(object, "model_type", "llama");
  }
  require_value(object, "hidden_act", "silu");
  require_value(object, "attention_bias", false);
  require_value(object, "mlp_bias", false);
  require_value(object, "rope_interleaved", false);
  for (const char* field :
       {"partial_rotary_factor", "embedding_multiplier", "residual_multiplier", "logits_scaling"})
    require_value(object, field, 1.0);
  for (const char* field : {"attn_logit_softcapping", "final_logit_softcapping", "attention_multiplier"}) {
    if (is_set(object, field)) refuse(field, "nothing", object.at(field));
  }
  LlamaConfig config;
  config.vocab_size = count_field(object, "vocab_size");
  config.hidden_size = count_field(object, "hidden_size");
  config.intermediate_size = count_field(object, "intermediate_size");
  config.layers = count_field(object, "num_hidden_layers");
  config.heads = count_field(object, "num_attention_heads");
  config.kv_heads = count_field(object, "num_key_value_heads", config.heads);
  config.head_dim =
      count_field(object, "head_dim", config.heads == 0 ? 0 : config.hidden_size / config.heads);
  config.context = count_field(object, "max_position_embeddings", 2048);
  config.rms_norm_eps = number_field(object, "rms_norm_eps", 1e-6);
  config.rope_theta = number_field(object, "rope_theta", 10000.0);
  // transformers 5 keeps theta and scaling together in rope_parameters.
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    if (is_set(object, field)) read_rope(field, object.at(field), config);
  }
  const bool windowed = flag_field(object, "use_sliding_window", true);
  if (windowed) config.sliding_window = count_field(object, "sliding_window", 0);
  config.tied_embeddings = flag_field(object, "tie_word_embeddings", false);
  config.bos_id = id_field(object, "bos_token_id", 1);
  config.eos_id = id_field(object, "eos_token_id", 2);
  config.pad_id = id_field(object, "pad_token_id", -1);
  if (!is_set(object, "head_dim") && config.heads != 0 && config.hidden_size % config.heads != 0) {
    throw Error(ErrorKind::input, "hidden_size is no multiple of num_attention_heads")
        .found(std::to_string(config.hidden_size) + " and " + std::to_string(config.heads));
  }
  config.validate();
  return config;
}

LlamaConfig config_from_meta(const json& params) {
  if (!params.is_object()) throw Error(ErrorKind::input, "params.json is not a JSON object");
  LlamaConfig config;
  config.hidden_size = count_field(params, "dim");
  config.layers = count_field(params, "n_layers");
  config.heads = count_field(params, "n_heads");
  config.kv_heads = count_field(params, "n_kv_heads", config.heads);
  if (is_set(params, "vocab_size") && params.at("vocab_size") != -1)
    config.vocab_size = count_field(params, "vocab_size");
  config.rms_norm_eps = number_field(params, "norm_eps", 1e-6);
  config.rope_theta = number_field(params, "rope_theta", 10000.0);
  require_value(params, "use_scaled_rope", false);
  if (config.heads == 0 || config.hidden_size == 0 || config.hidden_size % config.heads != 0) {
    throw Error(ErrorKind::input, "dim is no multiple of n_heads")
        .found(std::to_string(config.hidden_size) + " and " + std::to_string(config.heads));
  }
  config.head_dim = config.hidden_size / config.heads;
  const std::uint64_t multiple_of = count_field(params, "multiple_of", 256);
  if (multiple_of == 0) refuse("multiple_of", "a whole number above 0", params.at("multiple_of"));
  const std::uint64_t two_thirds = checked_mul(config.hidden_size, 8, "feed-forward size") / 3;
  const double factor = number_field(params, "ffn_dim_multiplier", 1.0);
  if (!(factor > 0 && factor < 1000))
    refuse("ffn_dim_multiplier", "a number above 0", params.at("ffn_dim_multiplier"));
  const double feed_forward = std::floor(factor * static_cast<double>(two_thirds));
  if (!(feed_forward < 0x1p32)) refuse("dim", "a hidden size that a model can have", params.at("dim"));
  config.intermediate_size = align_up(static_cast<std::uint64_t>(feed_forward), multiple_of);
  return config;
}

}  // namespace galatea
