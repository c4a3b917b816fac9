// A LLaMA in GGUF: what llama.cpp expects to find, and what galatea finds in such files.
//
//   key                                       type  from
//   general.architecture                      str   "llama"
//   general.type                              str   "model"
//   general.name                              str   the name given
//   llama.block_count                         u32   layers
//   llama.context_length                      u32   context
//   llama.embedding_length                    u32   hidden_size
//   llama.feed_forward_length                 u32   intermediate_size
//   llama.attention.head_count                u32   heads
//   llama.attention.head_count_kv             u32   kv_heads
//   llama.rope.freq_base                      f32   rope_theta
//   llama.attention.layer_norm_rms_epsilon    f32   rms_norm_eps
//   llama.rope.scaling.type, .factor          str, f32  "linear" and its factor, only where there is one (gguf_rope.h)
//   llama.attention.key_length, value_length  u32   head_dim, only where it is not hidden_size / heads
//   general.file_type                         u32   number of the type most weights have (see gguf_file_type)
//   llama.vocab_size                          u32   vocab_size
//   llama.rope.dimension_count                u32   head_dim
//   tokenizer.ggml.model, .pre                str   "llama", "default"
//   tokenizer.ggml.tokens                     str[] pieces, with U+2581 for the space
//   tokenizer.ggml.scores                     f32[]
//   tokenizer.ggml.token_type                 i32[] 1 normal 2 unknown 3 control 4 user-defined 5 unused
//                                                   6 byte
//   tokenizer.ggml.{bos,eos,unknown,padding}_token_id
//                                             u32   those that there are
//   tokenizer.ggml.add_bos_token              bool  true
//   tokenizer.ggml.add_eos_token              bool  false
//   tokenizer.ggml.add_space_prefix           bool  only when false
//   general.quantization_version              u32   2
//
// Tensors: token_embd, output_norm, output (left out when tied), then for each layer attn_norm, attn_q,
// attn_k, attn_v, attn_output, ffn_norm, ffn_gate, ffn_down, ffn_up; q and k with interleaved rotary rows.
// The order is that in which llama.cpp loads them; its converter keeps that of the source. Source:
// convert_hf_to_gguf.py and llama_model_loader of llama.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/sentencepiece_model.h"

namespace galatea {

/// A token that the checkpoint adds to those of tokenizer.model.
struct AddedToken {
  std::uint64_t id = 0;
  std::string text;
  bool special = false;
};

/// From added_tokens.json and tokenizer_config.json (added_tokens_decoder) in `folder`, by id; empty when
/// neither is there. Throws Error(input) when they are damaged.
std::vector<AddedToken> read_added_tokens(const std::filesystem::path& folder);

/// The metadata above, in that order. Ids that no token has (pieces fewer than vocab_size) become unused
/// tokens "[PADn]". Throws Error(input) when the tokenizer has more tokens than the model embeddings.
GgufMetadata llama_gguf_metadata(const LlamaConfig& config, const SentencePieceModel& tokenizer,
                                 const std::vector<AddedToken>& added, const std::string& name);

/// The score that llama.cpp's converter gives to added tokens.
inline constexpr float score_of_added_token = -1000.0F;

/// llama.cpp's number for "mostly this type" (LLAMA_FTYPE_*). Throws Error(usage) when it has none.
std::uint32_t gguf_file_type(DType type);
/// Sets general.file_type.
void set_gguf_file_type(GgufMetadata& metadata, DType type);
void set_gguf_file_type(GgufMetadata& metadata, std::uint32_t number);

/// What will be written: metadata and tensors with their names, order and rotary layout; types are still
/// those of the source.
struct GgufModel {
  GgufMetadata metadata;
  std::vector<Tensor> tensors;
};

struct GgufModelOptions {
  std::string name;  ///< general.name; empty: the name of the folder or file
  std::filesystem::path
      tokenizer;  ///< tokenizer.model; empty: the checkpoint's own, of a GGUF its vocabulary
};

/// Any checkpoint as GGUF. A GGUF checkpoint keeps its metadata (but for split and alignment) and tensors as
/// they are; with a tokenizer.model of its own, tokens that this has are those, and the others stay. Throws Error(input) when there is no tokenizer.model for another kind.
GgufModel llama_gguf_model(const Checkpoint& checkpoint, const GgufModelOptions& options = {});

/// The type a tensor gets in a GGUF file whose weights are to be `wanted`: vectors (norms) are F32, matrices
/// `wanted`.
DType gguf_tensor_type(const Tensor& tensor, DType wanted);

/// The configuration in a GGUF file's metadata. Throws Error(input), by name, for other architectures,
/// experts and rotary embeddings scaled in unknown ways (gguf_rope.h).
LlamaConfig config_from_gguf(const GgufFile& file);

/// The vocabulary in a GGUF file (tokenizer.ggml.tokens, .scores, .token_type) with LLaMA's options: BPE,
/// nothing normalised, one space put in front. Checked like a tokenizer.model. Throws Error(input) when there
/// is none, or it is no SentencePiece vocabulary (tokenizer.ggml.model other than "llama").
SentencePieceModel sentencepiece_from_gguf(const GgufFile& file);

/// The tokenizer as it was before it was put into the GGUF file.
struct GgufTokenizer {
  SentencePieceModel model;
  std::vector<AddedToken> added;       ///< follow the pieces without a gap; special: control tokens
  std::string bos, eos, unknown, pad;  ///< texts of the special tokens, empty for those that there are not
};

/// sentencepiece_from_gguf() without what converters append for ids that tokenizer.model has not: "[PADn]" at
/// the end goes, tokens of the score that llama.cpp gives to added ones are added tokens again.
GgufTokenizer tokenizer_from_gguf(const GgufFile& file);

}  // namespace galatea
