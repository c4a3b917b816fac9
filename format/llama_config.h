// The hyper-parameters of a LLaMA-family model, from config.json, params.json, GGUF metadata or a llama2.c
// header.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

/// How the angles of the rotary embedding are stretched for longer contexts, as transformers does it.
///
///   linear    every frequency divided by factor
///   dynamic   in windows longer than context: theta * (factor * length / context - (factor - 1))^(d / (d - 2)), d the
///             head size
///   llama3    frequencies whose wave is longer than original_context / low_frequency divided by factor, those shorter
///             than original_context / high_frequency as they are, in between in proportion
struct RopeScaling {
  enum class Kind { none, linear, dynamic, llama3 };
  Kind kind = Kind::none;
  double factor = 1;
  double low_frequency = 1, high_frequency = 4;
  double original_context = 8192;
};

struct LlamaConfig {
  std::uint64_t vocab_size = 0;
  std::uint64_t hidden_size = 0;
  std::uint64_t intermediate_size = 0;
  std::uint64_t layers = 0;
  std::uint64_t heads = 0;
  std::uint64_t kv_heads = 0;    ///< = heads unless grouped-query attention
  std::uint64_t head_dim = 0;    ///< = hidden_size / heads unless stated
  std::uint64_t context = 2048;  ///< max_position_embeddings
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  std::uint64_t sliding_window = 0;  ///< a token sees so many, itself included; 0: all before it
  bool tied_embeddings = false;      ///< output head is the embedding matrix
  std::int64_t bos_id = 1, eos_id = 2, unk_id = 0, pad_id = -1;

  /// Throws Error(input) naming the field when the numbers do not fit together (a head that does not divide
  /// hidden_size, kv_heads that does not divide heads, odd head_dim, zero or absurd extents).
  void validate() const;

  /// Throws Error(input) when the model has what the formats written here cannot say (scaled rotary embedding, a
  /// sliding window): a file without it would be another model.
  void require_plain_attention() const;
};

/// From Hugging Face's config.json. Unknown architectures, activation functions and rope scalings are
/// refused by name (Error input), so that no model is scored or converted as what it is not.
LlamaConfig config_from_hf(const nlohmann::json& object);

/// From Meta's params.json. The feed-forward size follows the rule of the original: 2/3 of 4*dim, times
/// ffn_dim_multiplier, rounded up to multiple_of. A vocab_size of -1 (Meta's way to say "ask the tokenizer")
/// is for the caller to fill in: see Checkpoint.
LlamaConfig config_from_meta(const nlohmann::json& params);

}  // namespace galatea
