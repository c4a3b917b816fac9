// GGUF files as checkpoints: the configuration from their metadata.
#include <array>
#include <charconv>

#include "format/checked.h"
#include "format/checkpoint_builder.h"
#include "format/error.h"
#include "format/gguf.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

std::uint64_t required(const GgufFile& file, const char* key) {
  if (const auto value = file.get_unsigned(key)) return *value;
  throw Error(ErrorKind::input, std::string("the GGUF metadata lack \"") + key + "\"");
}

/// Metadata hold float32; the number that was meant is the shortest decimal that gives this float32: 1e-06,
/// not 9.999999974752427e-07.
double meant_decimal(float value) {
  std::array<char, 64> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  double meant = static_cast<double>(value);
  std::from_chars(text.data(), written.ptr, meant);
  return meant;
}

LlamaConfig config_from_gguf(const GgufFile& file, const Checkpoint& checkpoint) {
  if (const std::string* scaling = file.get_string("llama.rope.scaling.type");
      scaling != nullptr && *scaling != "none") {
    throw Error(ErrorKind::input, "the model's scaling of the rotary embedding is not known")
        .expected("llama.rope.scaling.type none")
        .found(printable(*scaling));
  }
  LlamaConfig config;
  config.hidden_size = required(file, "llama.embedding_length");
  config.layers = required(file, "llama.block_count");
  config.intermediate_size = required(file, "llama.feed_forward_length");
  config.heads = required(file, "llama.attention.head_count");
  config.kv_heads = file.get_unsigned("llama.attention.head_count_kv").value_or(config.heads);
  config.context = file.get_unsigned("llama.context_length").value_or(2048);
  config.rms_norm_eps = file.get_number("llama.attention.layer_norm_rms_epsilon").value_or(1e-6);
  config.rms_norm_eps = meant_decimal(static_cast<float>(config.rms_norm_eps));
  config.rope_theta = file.get_number("llama.rope.freq_base").value_or(10000.0);
  if (config.heads == 0) throw Error(ErrorKind::input, "llama.attention.head_count is 0");
  config.head_dim =
      file.get_unsigned("llama.attention.key_length").value_or(config.hidden_size / config.heads);
  if (const auto rotary = file.get_unsigned("llama.rope.dimension_count");
      rotary && *rotary != config.head_dim) {
    throw Error(ErrorKind::input,
                "the rotary embedding covers only a part of each head, which is not supported")
        .expected("llama.rope.dimension_count " + std::to_string(config.head_dim))
        .found(std::to_string(*rotary));
  }
  if (const Tensor* embedding = checkpoint.find("token_embd.weight");
      embedding != nullptr && embedding->shape.size() == 2) {
    config.vocab_size = embedding->shape[0];
  }
  config.tied_embeddings = checkpoint.find("output.weight") == nullptr;
  const auto id = [&](const char* key, std::int64_t fallback) {
    return file.get_signed(key).value_or(fallback);
  };
  config.bos_id = id("tokenizer.ggml.bos_token_id", 1);
  config.eos_id = id("tokenizer.ggml.eos_token_id", 2);
  config.unk_id = id("tokenizer.ggml.unknown_token_id", 0);
  config.pad_id = id("tokenizer.ggml.padding_token_id", -1);
  config.validate();
  return config;
}

}  // namespace

Checkpoint open_gguf_checkpoint(const fs::path& path) {
  CheckpointBuilder builder(path);
  builder.set_kind(CheckpointKind::gguf);
  auto file = std::make_shared<GgufFile>(GgufFile::open(path));
  builder.add(file->tensors(), path);
  builder.set_files(file->files());
  const std::string* architecture = file->get_string("general.architecture");
  try {
    if (architecture != nullptr && *architecture == "llama")
      builder.set_config(config_from_gguf(*file, builder.out));
  } catch (Error& error) {
    error.file(path);
    throw;
  }
  builder.set_gguf(std::move(file));
  return std::move(builder.out);
}

}  // namespace galatea
