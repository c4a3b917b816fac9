// Which type each tensor of a quantized model gets: the mixes of llama-quantize, by its names, with its choices
// for LLaMA models.
//
//   tensor                 type
//   vectors (norms)        F32; integers as they are
//   output.weight          Q6_K; Q8_0 in Q8_0 mixes and where rows are no whole blocks of the mix's type; Q5_K
//                          in mixes of IQ1 and IQ2 types and IQ3_XXS; TYPE in plain types
//   token_embd.weight      TYPE (Q2_K, IQ3_S or Q4_K in the mixes below 3.5 bits); as output.weight when the
//                          model has none (tied)
//   attn_v, ffn_down       more bits in the S, M and L mixes, in all layers or in the first and last eighth and
//                          every third between them (see type_mix.cpp)
//   attn_output, attn_q,   in some of the mixes below 4 bits
//   attn_k, ffn_gate, _up
//   every other matrix     TYPE
//
// A type whose blocks a tensor's rows do not fill falls back to another (K- and i-quants to one of 32-element
// blocks, others to F16), which has to be allowed. `pure` gives every matrix TYPE. Source: llama-quant.cpp of
// llama.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/gguf_value.h"
#include "format/pattern.h"
#include "format/tensor.h"

namespace galatea {

struct NamedMix {
  std::string_view name;    ///< "Q4_K_M"
  DType type;               ///< that of most weights
  std::uint32_t file_type;  ///< general.file_type: llama.cpp's LLAMA_FTYPE_*
};

/// Every mix whose types have encoders, from many bits to few.
std::span<const NamedMix> all_mixes();
/// By name, ignoring case; Q3_K, Q4_K and Q5_K mean the M mixes. nullptr when there is none.
const NamedMix* find_mix(std::string_view name);

struct TypeMix {
  const NamedMix* named = find_mix("F16");
  bool pure = false;
  std::optional<DType> output_type;     ///< overrides the rule for the output head
  std::optional<DType> embedding_type;  ///< overrides the rule for the token embedding
  bool leave_output = false;            ///< output.weight keeps its type
  /// Searched for in names of matrices, the first that is found decides.
  std::vector<std::pair<Pattern, DType>> by_name;
};

/// What the choices depend on beside a tensor's name.
struct ModelTraits {
  std::uint64_t layers = 0;
  std::uint64_t heads = 1, kv_heads = 1;
  bool tied = false;  ///< there is no output.weight, the embedding serves as output head too
  bool importance = false;
};

/// N of "blk.N."; nothing outside of the layers.
std::optional<std::uint64_t> gguf_layer_of(std::string_view name);

ModelTraits traits_of(const GgufMetadata& metadata, const std::vector<Tensor>& tensors);

struct TypeChoice {
  DType type;
  DType wanted;  ///< what it would be if its rows were whole blocks
};

/// Throws Error(usage) when a pattern is no regular expression.
TypeChoice choose_type(const Tensor& tensor, const TypeMix& mix, const ModelTraits& model);

/// llama.cpp refuses these without importance: the types that are useless so, and Q2_K in the mix Q2_K_S.
bool needs_importance(const Tensor& tensor, DType type, const TypeMix& mix);

}  // namespace galatea
