#include "format/llama2c.h"

#include <array>
#include <cstdlib>

#include "format/checked.h"
#include "format/llama_tensors.h"

namespace galatea {
namespace {

/// Hands out consecutive float32 tensors from the end of the header on.
class Cursor {
 public:
  Cursor(SourcePtr source, std::uint64_t offset) : source_(std::move(source)), offset_(offset) {}

  Tensor take(LlamaTensorId id, const Shape& shape) {
    const auto [rows, cols] = matrix_shape(shape, DType::f32);
    Tensor tensor{tensor_name(id, Naming::meta), shape, nullptr, source_->name(), offset_};
    tensor.data = stored_rows(source_, offset_, DType::f32, rows, cols);
    skip(rows * cols);
    return tensor;
  }
  void skip(std::uint64_t values) {
    offset_ = checked_add(offset_, checked_mul(values, 4, "tensor size"), "offset");
  }
  std::uint64_t offset() const { return offset_; }

 private:
  SourcePtr source_;
  std::uint64_t offset_;
};

std::optional<LlamaConfig> read_header(const ByteSource& source) {
  std::array<std::int32_t, 7> numbers{};
  if (source.size() < sizeof numbers) return {};
  source.read(0, std::as_writable_bytes(std::span(numbers)));
  const auto [dim, hidden, layers, heads, kv_heads, vocab, context] = numbers;
  constexpr std::int32_t most = 1 << 20;
  for (const std::int32_t number : {dim, hidden, layers, heads, kv_heads, context}) {
    if (number <= 0 || number > most) return {};
  }
  if (vocab == 0 || vocab <= -most || vocab >= most || dim % heads != 0 || heads % kv_heads != 0) return {};
  const auto count = [](std::int32_t number) { return static_cast<std::uint64_t>(number); };
  LlamaConfig config;
  config.hidden_size = count(dim);
  config.intermediate_size = count(hidden);
  config.layers = count(layers);
  config.heads = count(heads);
  config.kv_heads = count(kv_heads);
  config.head_dim = config.hidden_size / config.heads;
  config.vocab_size = count(std::abs(vocab));
  config.context = count(context);
  config.rms_norm_eps = 1e-5;
  config.tied_embeddings = vocab > 0;
  if (config.head_dim % 2 != 0 || config.layers > 10000) return {};
  return config;
}

/// Bytes of the whole file that the header promises. The extents are at most 2^20, layers at most 10^4: no
/// overflow of 64 bits but by checked arithmetic anyway.
std::uint64_t promised_size(const LlamaConfig& config) {
  std::uint64_t values = 0;
  for (const LlamaTensorId id : llama_tensor_order(config.layers, !config.tied_embeddings)) {
    values = checked_add(values, element_count(expected_shape(id, config)), "model size");
  }
  values = checked_add(values, config.context * config.head_dim, "model size");
  return checked_add(7 * 4, checked_mul(values, 4, "model size"), "model size");
}

}  // namespace

std::optional<Llama2cModel> read_llama2c(const SourcePtr& source) {
  const auto config = read_header(*source);
  if (!config || promised_size(*config) != source->size()) return {};
  Llama2cModel model{*config, {}};
  Cursor cursor(source, 7 * 4);
  const auto take = [&](LlamaRole role, std::uint64_t layer) {
    const LlamaTensorId id{role, layer};
    model.tensors.push_back(cursor.take(id, expected_shape(id, *config)));
  };
  take(LlamaRole::embedding, 0);
  for (const LlamaRole role : {LlamaRole::attn_norm, LlamaRole::q, LlamaRole::k, LlamaRole::v, LlamaRole::o,
                               LlamaRole::ffn_norm, LlamaRole::gate, LlamaRole::down, LlamaRole::up}) {
    for (std::uint64_t layer = 0; layer < config->layers; ++layer) take(role, layer);
  }
  take(LlamaRole::final_norm, 0);
  cursor.skip(config->context * config->head_dim);
  if (!config->tied_embeddings) take(LlamaRole::output, 0);
  return model;
}

}  // namespace galatea
