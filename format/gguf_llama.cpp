#include "format/gguf_llama.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/llama_tensors.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr float score_of_missing_token = -10000.0F;

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
};

Vocabulary make_vocabulary(const LlamaConfig& config, const SentencePieceModel& tokenizer,
                           const std::vector<AddedToken>& added) {
  const std::uint64_t size = config.vocab_size;
  if (tokenizer.pieces.size() > size) {
    throw Error(ErrorKind::input, "the tokenizer has more pieces than the model has embeddings")
        .expected("at most " + std::to_string(size))
        .found(std::to_string(tokenizer.pieces.size()))
        .remedy("tokenizer.model belongs to another model");
  }
  Vocabulary out;
  for (const SentencePiece& piece : tokenizer.pieces) {
    out.tokens.push_back(piece.text);
    out.scores.push_back(piece.score);
    out.types.push_back(static_cast<std::int32_t>(piece.type));
  }
  for (std::uint64_t id = out.tokens.size(); id < size; ++id) {
    out.tokens.push_back("[PAD" + std::to_string(id) + "]");
    out.scores.push_back(score_of_missing_token);
    out.types.push_back(static_cast<std::int32_t>(PieceType::unused));
  }
  for (const AddedToken& token : added) {
    if (token.id >= size) {
      throw Error(ErrorKind::input, "an added token is outside of the model's embeddings")
          .expected("an id below " + std::to_string(size))
          .found(printable(token.text) + " with id " + std::to_string(token.id));
    }
    const auto id = static_cast<std::size_t>(token.id);
    if (out.tokens[id] == token.text) continue;  // the list repeats a piece of tokenizer.model
    out.tokens[id] = token.text;
    out.scores[id] = score_of_added_token;
    out.types[id] = static_cast<std::int32_t>(token.special ? PieceType::control : PieceType::user_defined);
  }
  return out;
}

std::uint32_t u32(std::uint64_t value, const char* what) { return checked_cast<std::uint32_t>(value, what); }

void add_special_tokens(GgufMetadata& metadata, const LlamaConfig& config) {
  const std::pair<const char*, std::int64_t> ids[] = {{"tokenizer.ggml.bos_token_id", config.bos_id},
                                                      {"tokenizer.ggml.eos_token_id", config.eos_id},
                                                      {"tokenizer.ggml.unknown_token_id", config.unk_id},
                                                      {"tokenizer.ggml.padding_token_id", config.pad_id}};
  for (const auto& [key, id] : ids) {
    if (id >= 0 && static_cast<std::uint64_t>(id) < config.vocab_size) {
      metadata.push_back({key, static_cast<std::uint32_t>(id)});
    }
  }
}

std::vector<LlamaTensorId> gguf_tensor_order(std::uint64_t layers, bool with_output) {
  std::vector<LlamaTensorId> order = {{LlamaRole::embedding, 0}, {LlamaRole::final_norm, 0}};
  if (with_output) order.push_back({LlamaRole::output, 0});
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    for (const LlamaRole role : {LlamaRole::attn_norm, LlamaRole::q, LlamaRole::k, LlamaRole::v, LlamaRole::o,
                                 LlamaRole::ffn_norm, LlamaRole::gate, LlamaRole::down, LlamaRole::up}) {
      order.push_back({role, layer});
    }
  }
  return order;
}

std::string default_name(const fs::path& path) {
  std::error_code problem;
  const fs::path whole = fs::weakly_canonical(path, problem);
  const fs::path& named = problem ? path : whole;
  return (fs::is_directory(named, problem) ? named.filename() : named.stem()).string();
}

/// The vocabulary and its ids as tokenizer.model has them, in the places of the old entries; a chat template and
/// the like stay.
void replace_vocabulary(GgufMetadata& metadata, const Checkpoint& checkpoint, const fs::path& tokenizer) {
  const SentencePieceModel pieces = read_sentencepiece_model(*open_file(tokenizer));
  std::vector<AddedToken> others;
  const std::vector<std::string>* old = checkpoint.gguf()->get_strings("tokenizer.ggml.tokens");
  const auto types = checkpoint.gguf()->get_integers("tokenizer.ggml.token_type");
  for (std::size_t id = pieces.pieces.size(); old != nullptr && id < old->size(); ++id) {
    const bool special = types && id < types->size() && (*types)[id] == static_cast<int>(PieceType::control);
    const bool unused = types && id < types->size() && (*types)[id] == static_cast<int>(PieceType::unused);
    if (!unused) others.push_back({id, (*old)[id], special});
  }
  GgufMetadata fresh = llama_gguf_metadata(checkpoint.config(), pieces, others, "");
  std::erase_if(fresh, [](const GgufEntry& entry) { return !entry.key.starts_with("tokenizer."); });
  const auto replaced = [&](const GgufEntry& entry) {
    return entry.key == "tokenizer.ggml.add_space_prefix" || entry.key == "tokenizer.ggml.pre" ||
           entry.key == "tokenizer.ggml.merges" || entry.key == "tokenizer.ggml.remove_extra_whitespaces" ||
           std::any_of(fresh.begin(), fresh.end(),
                       [&](const GgufEntry& one) { return one.key == entry.key; });
  };
  auto place = std::find_if(metadata.begin(), metadata.end(), replaced);
  const auto before = static_cast<std::ptrdiff_t>(place - metadata.begin());
  std::erase_if(metadata, replaced);
  metadata.insert(metadata.begin() + before, fresh.begin(), fresh.end());
}

GgufModel keep_gguf(const Checkpoint& checkpoint, const GgufModelOptions& options) {
  GgufModel model{without_container_keys(checkpoint.gguf()->metadata()), checkpoint.tensors()};
  for (GgufEntry& entry : model.metadata) {
    if (entry.key == "general.name" && !options.name.empty()) entry.value = options.name;
  }
  if (!options.tokenizer.empty()) replace_vocabulary(model.metadata, checkpoint, options.tokenizer);
  return model;
}

}  // namespace

GgufMetadata llama_gguf_metadata(const LlamaConfig& config, const SentencePieceModel& tokenizer,
                                 const std::vector<AddedToken>& added, const std::string& name) {
  LlamaConfig plain = config;
  const bool linear = config.rope_scaling.kind == RopeScaling::Kind::linear;
  if (linear) plain.rope_scaling = {};
  plain.require_plain_attention();
  Vocabulary vocabulary = make_vocabulary(config, tokenizer, added);
  GgufMetadata metadata = {
      {"general.architecture", std::string("llama")},
      {"general.type", std::string("model")},
      {"general.name", name},
      {"llama.block_count", u32(config.layers, "number of layers")},
      {"llama.context_length", u32(config.context, "context length")},
      {"llama.embedding_length", u32(config.hidden_size, "hidden size")},
      {"llama.feed_forward_length", u32(config.intermediate_size, "intermediate size")},
      {"llama.attention.head_count", u32(config.heads, "number of heads")},
      {"llama.attention.head_count_kv", u32(config.kv_heads, "number of key-value heads")},
      {"llama.rope.freq_base", static_cast<float>(config.rope_theta)},
      {"llama.attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps)},
  };
  if (linear) {
    metadata.push_back({"llama.rope.scaling.type", std::string("linear")});
    metadata.push_back({"llama.rope.scaling.factor", static_cast<float>(config.rope_scaling.factor)});
  }
  const std::uint32_t head_dim = u32(config.head_dim, "head size");
  if (config.head_dim * config.heads != config.hidden_size) {
    metadata.push_back({"llama.attention.key_length", head_dim});
    metadata.push_back({"llama.attention.value_length", head_dim});
  }
  metadata.push_back({"general.file_type", std::uint32_t{0}});
  metadata.push_back({"llama.vocab_size", u32(config.vocab_size, "vocabulary size")});
  metadata.push_back({"llama.rope.dimension_count", head_dim});
  metadata.push_back({"tokenizer.ggml.model", std::string("llama")});
  metadata.push_back({"tokenizer.ggml.pre", std::string("default")});
  metadata.push_back({"tokenizer.ggml.tokens", GgufArray{std::move(vocabulary.tokens)}});
  metadata.push_back({"tokenizer.ggml.scores", GgufArray{std::move(vocabulary.scores)}});
  metadata.push_back({"tokenizer.ggml.token_type", GgufArray{std::move(vocabulary.types)}});
  add_special_tokens(metadata, config);
  metadata.push_back({"tokenizer.ggml.add_bos_token", true});
  metadata.push_back({"tokenizer.ggml.add_eos_token", false});
  if (!tokenizer.add_dummy_prefix) metadata.push_back({"tokenizer.ggml.add_space_prefix", false});
  metadata.push_back({"general.quantization_version", std::uint32_t{2}});
  return metadata;
}

std::uint32_t gguf_file_type(DType type) {
  switch (type) {
    case DType::f32:
      return 0;
    case DType::f16:
      return 1;
    case DType::q4_0:
      return 2;
    case DType::q4_1:
      return 3;
    case DType::q8_0:
      return 7;
    case DType::q5_0:
      return 8;
    case DType::q5_1:
      return 9;
    case DType::q2_k:
      return 10;
    case DType::q3_k:
      return 11;
    case DType::q4_k:
      return 14;
    case DType::q5_k:
      return 16;
    case DType::q6_k:
      return 18;
    case DType::iq2_xxs:
      return 19;
    case DType::iq2_xs:
      return 20;
    case DType::iq3_xxs:
      return 23;
    case DType::iq1_s:
      return 24;
    case DType::iq4_nl:
      return 25;
    case DType::iq3_s:
      return 26;
    case DType::iq2_s:
      return 29;
    case DType::iq4_xs:
      return 30;
    case DType::iq1_m:
      return 31;
    case DType::bf16:
      return 32;
    case DType::tq1_0:
      return 36;
    case DType::tq2_0:
      return 37;
    case DType::mxfp4:
      return 38;
    default:
      throw Error(ErrorKind::usage,
                  "llama.cpp has no models of the type " + std::string(type_info(type).name));
  }
}

void set_gguf_file_type(GgufMetadata& metadata, DType type) {
  set_gguf_file_type(metadata, gguf_file_type(type));
}

void set_gguf_file_type(GgufMetadata& metadata, std::uint32_t number) {
  for (GgufEntry& entry : metadata) {
    if (entry.key != "general.file_type") continue;
    entry.value = number;
    return;
  }
  metadata.push_back({"general.file_type", number});
}

GgufModel llama_gguf_model(const Checkpoint& checkpoint, const GgufModelOptions& options) {
  if (checkpoint.gguf() != nullptr) return keep_gguf(checkpoint, options);
  const fs::path tokenizer =
      options.tokenizer.empty() ? checkpoint.tokenizer_model().value_or(fs::path()) : options.tokenizer;
  if (tokenizer.empty()) {
    throw Error(ErrorKind::input, "there is no tokenizer.model to put into the GGUF file")
        .file(checkpoint.path())
        .remedy("put the model's tokenizer.model beside the weights, or name it with --tokenizer");
  }
  const SentencePieceModel pieces = read_sentencepiece_model(*open_file(tokenizer));
  const std::vector<AddedToken> added = checkpoint.kind() == CheckpointKind::hf
                                            ? read_added_tokens(checkpoint.path())
                                            : std::vector<AddedToken>{};
  GgufModel model;
  model.metadata = llama_gguf_metadata(checkpoint.config(), pieces, added,
                                       options.name.empty() ? default_name(checkpoint.path()) : options.name);
  const LlamaWeights weights(checkpoint);
  for (const LlamaTensorId id : gguf_tensor_order(checkpoint.config().layers, !weights.tied())) {
    Tensor tensor = weights.get(id, LlamaWeights::Rotary::interleaved);
    tensor.name = tensor_name(id, Naming::gguf);
    model.tensors.push_back(std::move(tensor));
  }
  return model;
}

DType gguf_tensor_type(const Tensor& tensor, DType wanted) {
  return tensor.shape.size() < 2 ? DType::f32 : wanted;
}

}  // namespace galatea
