#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/gguf_llama.h"
#include "format/gguf_rope.h"
#include "format/json.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t largest_vocabulary = std::uint64_t{1} << 24U;

[[noreturn]] void refuse(const fs::path& file, const std::string& problem) {
  throw Error(ErrorKind::input, problem).file(file);
}

void add_token(std::map<std::uint64_t, AddedToken>& tokens, AddedToken token, const fs::path& file) {
  if (token.text.empty() || token.id >= largest_vocabulary) {
    refuse(file, "an added token is empty or has an impossible id: " + printable(token.text));
  }
  tokens[token.id] = std::move(token);
}

void read_added_tokens_file(const fs::path& file, std::map<std::uint64_t, AddedToken>& tokens) {
  const json document = parse_json_file(file);
  if (!document.is_object()) refuse(file, "is not a JSON object of tokens and their ids");
  for (const auto& [text, id] : document.items()) {
    if (!id.is_number_unsigned())
      refuse(file, "the id of the added token " + printable(text) + " is no number");
    add_token(tokens, {id.get<std::uint64_t>(), text, false}, file);
  }
}

/// Newer checkpoints: {"added_tokens_decoder": {"32000": {"content": "<pad>", "special": true, ...}}}.
void read_added_tokens_decoder(const fs::path& file, std::map<std::uint64_t, AddedToken>& tokens) {
  const json document = parse_json_file(file);
  if (!document.is_object() || !document.contains("added_tokens_decoder")) return;
  const json& decoder = document["added_tokens_decoder"];
  if (!decoder.is_object()) refuse(file, "added_tokens_decoder is not an object");
  for (const auto& [key, token] : decoder.items()) {
    const bool number = !key.empty() && key.size() < 10 &&
                        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number || !token.is_object() || !token.contains("content") || !token["content"].is_string()) {
      refuse(file, "an entry of added_tokens_decoder is not understood: " + printable(key));
    }
    const auto special = token.find("special");
    add_token(tokens,
              {std::stoull(key), token["content"].get<std::string>(),
               special != token.end() && special->is_boolean() && special->get<bool>()},
              file);
  }
}

std::uint64_t need_unsigned(const GgufFile& file, const std::string& key) {
  const auto value = file.get_unsigned(key);
  if (!value) {
    throw Error(ErrorKind::input, "the metadata lacks " + key).file(file.files().front());
  }
  return *value;
}

bool has_tensor(const GgufFile& file, std::string_view name) {
  return std::any_of(file.tensors().begin(), file.tensors().end(),
                     [&](const Tensor& tensor) { return tensor.name == name; });
}

void refuse_variants(const GgufFile& file) {
  const std::string* architecture = file.get_string("general.architecture");
  if (architecture == nullptr || *architecture != "llama") {
    throw Error(ErrorKind::input, "is a model of another architecture")
        .file(file.files().front())
        .expected("general.architecture llama")
        .found(architecture == nullptr ? "none" : printable(*architecture));
  }
  if (file.get_unsigned("llama.expert_count").value_or(0) > 0) {
    refuse(file.files().front(), "is a mixture of experts, which galatea does not know");
  }
}

std::int64_t token_id(const GgufFile& file, const char* key, std::int64_t absent) {
  const auto id = file.get_unsigned(key);
  // Some writers say "none" by the largest u32.
  if (!id) return absent;
  return *id >= largest_vocabulary ? -1 : static_cast<std::int64_t>(*id);
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const fs::path& folder) {
  std::map<std::uint64_t, AddedToken> tokens;
  std::error_code ignored;
  if (fs::is_regular_file(folder / "added_tokens.json", ignored)) {
    read_added_tokens_file(folder / "added_tokens.json", tokens);
  }
  if (fs::is_regular_file(folder / "tokenizer_config.json", ignored)) {
    read_added_tokens_decoder(folder / "tokenizer_config.json", tokens);
  }
  std::vector<AddedToken> out;
  out.reserve(tokens.size());
  for (auto& [id, token] : tokens) out.push_back(std::move(token));
  return out;
}

LlamaConfig config_from_gguf(const GgufFile& file) {
  refuse_variants(file);
  LlamaConfig config;
  config.layers = need_unsigned(file, "llama.block_count");
  config.hidden_size = need_unsigned(file, "llama.embedding_length");
  config.intermediate_size = need_unsigned(file, "llama.feed_forward_length");
  config.heads = need_unsigned(file, "llama.attention.head_count");
  config.kv_heads = file.get_unsigned("llama.attention.head_count_kv").value_or(config.heads);
  config.context = file.get_unsigned("llama.context_length").value_or(config.context);
  config.rms_norm_eps =
      meant_decimal(file.get_number("llama.attention.layer_norm_rms_epsilon").value_or(config.rms_norm_eps));
  config.rope_theta = meant_decimal(file.get_number("llama.rope.freq_base").value_or(config.rope_theta));
  const std::uint64_t even_share = config.heads == 0 ? 0 : config.hidden_size / config.heads;
  config.head_dim = file.get_unsigned("llama.attention.key_length").value_or(even_share);
  if (file.get_unsigned("llama.rope.dimension_count").value_or(config.head_dim) != config.head_dim) {
    refuse(file.files().front(), "turns only a part of each head by its rotary embedding");
  }
  read_gguf_attention(file, config);
  const std::vector<std::string>* tokens = file.get_strings("tokenizer.ggml.tokens");
  const std::uint64_t listed = tokens == nullptr ? 0 : tokens->size();
  config.vocab_size = file.get_unsigned("llama.vocab_size").value_or(listed);
  config.tied_embeddings = !has_tensor(file, "output.weight");
  config.bos_id = token_id(file, "tokenizer.ggml.bos_token_id", config.bos_id);
  config.eos_id = token_id(file, "tokenizer.ggml.eos_token_id", config.eos_id);
  config.unk_id = token_id(file, "tokenizer.ggml.unknown_token_id", config.unk_id);
  config.pad_id = token_id(file, "tokenizer.ggml.padding_token_id", config.pad_id);
  try {
    config.validate();
  } catch (Error& error) {
    throw error.file(file.files().front());
  }
  return config;
}

}  // namespace galatea
