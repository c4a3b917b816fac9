// The small files that transformers wrote beside the weights in the spring of 2023, byte for byte.
//
//   config.json              LlamaForCausalLM after the conversion of Meta's files: keys sorted, indent 2,
//                            a line end
//   generation_config.json   ids of <s>, </s> and padding, stamped with the version
//   tokenizer_config.json    LlamaTokenizer; model_max_length is 2048, or int(1e30) for "none"
//   special_tokens_map.json  <s>, </s>, <unk> as AddedToken
//
// What differs between the releases is in the table of generations below.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/dtype.h"
#include "format/gguf_llama.h"
#include "format/llama_config.h"
#include "format/torch_file.h"

namespace galatea {

/// A generation of the tools that converted Meta's files: everything of its output that is not the model's.
struct HfGeneration {
  std::string_view name;             ///< as --profile takes it
  std::string transformers_version;  ///< stamped into config.json and generation_config.json
  std::uint64_t model_max_length;    ///< 0: none, written as int(1e30)
  DType inv_freq;                    ///< F32 (rounded through F16) or F16
  std::string_view meaning;          ///< one line for help texts
  TorchGeneration torch = TorchGeneration::torch_1_6;  ///< whose container the weights have
};

/// The first is the default: what the Pygmalion and Metharme releases were made against.
std::span<const HfGeneration> hf_generations();
/// Throws Error(usage) listing the names.
const HfGeneration& find_hf_generation(std::string_view name);

/// The container that a version of torch writes: "1.13", "2.1", "2.7.0" ... Throws Error(usage).
TorchGeneration find_torch_generation(std::string_view version);

/// Versions of transformers that stamped the bases of spring 2023, the likely ones first.
std::span<const std::string_view> transformers_versions_of_2023();

/// "float16" for F16, and so on; Error(usage) for types that torch has no name for.
std::string torch_dtype_name(DType type);

/// Keys beyond those of LLaMA 1 (num_key_value_heads, head_dim, rope_theta, rope_scaling) appear where they differ from
/// what LLaMA 1 implies, tie_word_embeddings as the configuration has it. A pad_id of -1 is left out.
std::string config_json(const LlamaConfig& config, DType type, std::string_view transformers_version);

/// A pad_id of -1 is left out.
std::string generation_config_json(const LlamaConfig& config, std::string_view transformers_version);

/// What the tokenizer's files name; the defaults are LLaMA's.
struct TokenizerNames {
  std::string bos = "<s>", eos = "</s>", unknown = "<unk>";
  std::string pad;                      ///< empty: there is none
  std::vector<std::string> additional;  ///< special tokens beside those
  std::string chat_template;            ///< empty: there is none
};

/// `model_max_length` as in HfGeneration.
std::string tokenizer_config_json(std::uint64_t model_max_length, const TokenizerNames& names = {});
std::string special_tokens_map_json(const TokenizerNames& names = {});
/// {text: id}, as added_tokens.json has them.
std::string added_tokens_json(const std::vector<AddedToken>& added);

}  // namespace galatea
