// The tensors of a LLaMA by role, and what each naming scheme calls them.
//
//   role          Hugging Face                                  Meta                             GGUF                     cut along
//   embedding     model.embed_tokens.weight                     tok_embeddings.weight            token_embd.weight        dim 1
//   attn_norm     model.layers.N.input_layernorm.weight         layers.N.attention_norm.weight   blk.N.attn_norm.weight   -
//   q, k, v       model.layers.N.self_attn.{q,k,v}_proj.weight  layers.N.attention.w{q,k,v}.weight  blk.N.attn_{q,k,v}.weight  dim 0
//   o             model.layers.N.self_attn.o_proj.weight        layers.N.attention.wo.weight     blk.N.attn_output.weight dim 1
//   ffn_norm      model.layers.N.post_attention_layernorm.weight  layers.N.ffn_norm.weight       blk.N.ffn_norm.weight    -
//   gate          model.layers.N.mlp.gate_proj.weight           layers.N.feed_forward.w1.weight  blk.N.ffn_gate.weight    dim 0
//   down          model.layers.N.mlp.down_proj.weight           layers.N.feed_forward.w2.weight  blk.N.ffn_down.weight    dim 1
//   up            model.layers.N.mlp.up_proj.weight             layers.N.feed_forward.w3.weight  blk.N.ffn_up.weight      dim 0
//   final_norm    model.norm.weight                             norm.weight                      output_norm.weight       -
//   output        lm_head.weight                                output.weight                    output.weight            dim 0
//
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
/// What a name means, in any scheme; nothing when it is no LLaMA tensor (e.g. rotary_emb.inv_freq, rope.freqs).
std::optional<LlamaTensorId> parse_tensor_name(std::string_view name);

/// Roles of one layer in the order of Hugging Face's state_dict: q k v o gate down up attn_norm ffn_norm.
std::vector<LlamaTensorId> llama_tensor_order(std::uint64_t layers, bool with_output);

/// The shape that the configuration prescribes.
Shape expected_shape(LlamaTensorId id, const LlamaConfig& config);

/// A checkpoint seen by roles. get() returns the tensor with q and k rows in the wanted rotary layout whatever
/// the container's, shape-checked against the configuration; the output head of tied models is the embedding.
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
