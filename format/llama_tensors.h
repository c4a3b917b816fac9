// The tensors of a LLaMA by role, and what each naming scheme calls them.
//
//   role        Hugging Face              Meta                     GGUF          cut along
//   embedding   model.embed_tokens        tok_embeddings           token_embd    dim 1
//   attn_norm   input_layernorm           attention_norm           attn_norm     -
//   q, k, v     self_attn.{q,k,v}_proj    attention.w{q,k,v}       attn_{q,k,v}  dim 0
//   o           self_attn.o_proj          attention.wo             attn_output   dim 1
//   ffn_norm    post_attention_layernorm  ffn_norm                 ffn_norm      -
//   gate        mlp.gate_proj             feed_forward.w1          ffn_gate      dim 0
//   down        mlp.down_proj             feed_forward.w2          ffn_down      dim 1
//   up          mlp.up_proj               feed_forward.w3          ffn_up        dim 0
//   final_norm  model.norm                norm                     output_norm   -
//   output      lm_head                   output                   output        dim 0
//
// All end in ".weight"; those of layer N begin with "model.layers.N.", "layers.N." and "blk.N." respectively.
// "cut along": how tensor-parallel shards of Meta's files divide it ("-": replicated).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/checkpoint.h"

namespace galatea {

enum class LlamaRole { embedding, attn_norm, q, k, v, o, ffn_norm, gate, down, up, final_norm, output };
enum class Naming { hf, meta, gguf };

struct LlamaTensorId {
  LlamaRole role;
  std::uint64_t layer;  ///< 0 for tensors outside of the layers

  friend bool operator==(const LlamaTensorId&, const LlamaTensorId&) = default;
};

/// How Meta's shards cut a tensor.
enum class Cut { none, rows, cols };
Cut tensor_parallel_cut(LlamaRole role);

/// The name of a tensor in a naming scheme.
std::string tensor_name(LlamaTensorId id, Naming naming);
/// What a name means, in any scheme; nothing when it is no LLaMA tensor (e.g. rotary_emb.inv_freq,
/// rope.freqs).
std::optional<LlamaTensorId> parse_tensor_name(std::string_view name);

/// The whole model in the order of Hugging Face's state_dict: embedding, for each layer q k v o gate down up
/// attn_norm ffn_norm, then final_norm and, if asked for, output.
std::vector<LlamaTensorId> llama_tensor_order(std::uint64_t layers, bool with_output);

/// The shape that the configuration prescribes.
Shape expected_shape(LlamaTensorId id, const LlamaConfig& config);

/// A checkpoint seen by roles. get() returns the tensor with q and k rows in the wanted rotary layout,
/// whatever the container's, shape-checked against the configuration; the output head of tied models is the
/// embedding.
class LlamaWeights {
 public:
  /// Throws Error(input) listing tensors that are missing or have another shape than the configuration says.
  explicit LlamaWeights(const Checkpoint& checkpoint);

  enum class Rotary { half, interleaved };
  Tensor get(LlamaTensorId id, Rotary rotary) const;
  bool tied() const { return tied_; }
  const LlamaConfig& config() const { return checkpoint_->config(); }

 private:
  const Checkpoint* checkpoint_;
  bool tied_ = false;
};

}  // namespace galatea
