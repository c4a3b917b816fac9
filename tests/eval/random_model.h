// A small LLaMA of random weights.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "eval/model.h"

namespace galatea::test {

/// Makes a matrix of so many rows and columns.
using MakeMatrix = std::function<RowsPtr(std::uint64_t rows, std::uint64_t cols)>;

/// Normal numbers, scaled so that activations stay near 1.
inline MakeMatrix random_matrices(std::uint32_t seed) {
  return [random = std::mt19937(seed)](std::uint64_t rows, std::uint64_t cols) mutable {
    std::normal_distribution<float> normal(0.0F, 1.5F / std::sqrt(static_cast<float>(cols)));
    std::vector<float> values(rows * cols);
    for (float& value : values) value = normal(random);
    return memory_rows(values, rows, cols);
  };
}

inline LlamaModel random_model(const LlamaConfig& config, const MakeMatrix& make) {
  LlamaModel model;
  model.config = config;
  const auto norm = [&] {
    std::vector<float> values(config.hidden_size);
    make(config.hidden_size, 1)->read_f32(0, config.hidden_size, values);
    for (float& value : values) value = 1 + value / 10;
    return values;
  };
  model.embedding = make(config.vocab_size, config.hidden_size);
  for (std::uint64_t i = 0; i < config.layers; ++i) {
    LlamaLayer layer;
    layer.attn_norm = norm();
    layer.ffn_norm = norm();
    layer.q = make(config.heads * config.head_dim, config.hidden_size);
    layer.k = make(config.kv_heads * config.head_dim, config.hidden_size);
    layer.v = make(config.kv_heads * config.head_dim, config.hidden_size);
    layer.o = make(config.hidden_size, config.heads * config.head_dim);
    layer.gate = make(config.intermediate_size, config.hidden_size);
    layer.up = make(config.intermediate_size, config.hidden_size);
    layer.down = make(config.hidden_size, config.intermediate_size);
    model.layers.push_back(layer);
  }
  model.final_norm = norm();
  model.output = config.tied_embeddings ? model.embedding : make(config.vocab_size, config.hidden_size);
  return model;
}

/// Grouped-query attention, sizes that fill no tile.
inline LlamaConfig small_config() {
  LlamaConfig config;
  config.vocab_size = 53;
  config.hidden_size = 44;
  config.intermediate_size = 70;
  config.layers = 3;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = 10;
  config.context = 64;
  config.rope_theta = 500;
  return config;
}

}  // namespace galatea::test
