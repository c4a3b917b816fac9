// The base and the values of scripts/oracles/lora_goldens.py.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "converter/hf_model.h"
#include "format/crc32.h"
#include "format/hash.h"
#include "format/llama_tensors.h"

namespace galatea::lora_sample {

/// values() and fill() of the script.
inline Tensor filled(const std::string& name, const Shape& shape) {
  const std::uint64_t count = element_count(shape);
  const std::uint64_t number = crc32_of(std::as_bytes(std::span(name)));
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t z = ((number << 32U) + i + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    z ^= z >> 31U;
    const auto value = static_cast<float>(static_cast<double>(z >> 40U) / 8388608.0 - 1.0);
    values[i] = shape.size() == 1 ? 1.5F + value * 0.5F : value * 0.25F;
  }
  Tensor tensor;
  tensor.name = name;
  tensor.shape = shape;
  const MatrixShape matrix = matrix_shape(shape, DType::f32);
  tensor.data = memory_rows(values, matrix.rows, matrix.cols);
  return tensor;
}

inline HfModel base_model(bool bias = false) {
  HfModel model;
  LlamaConfig& config = model.config;
  config.vocab_size = 48;
  config.hidden_size = 32;
  config.intermediate_size = 40;
  config.layers = 2;
  config.heads = config.kv_heads = 4;
  config.head_dim = 8;
  for (const LlamaTensorId id : llama_tensor_order(2, true))
    model.tensors.push_back(filled(tensor_name(id, Naming::hf), expected_shape(id, config)));
  for (int layer = 0; bias && layer < 2; ++layer) {
    for (const char* const part : {"q", "k", "v", "o"}) {
      model.tensors.push_back(
          filled("model.layers." + std::to_string(layer) + ".self_attn." + part + "_proj.bias", {32}));
    }
  }
  return model;
}

inline std::string digest(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  tensor.data->read(0, tensor.data->rows(), bytes);
  return sha256_hex(bytes).substr(0, 16);
}

/// Of the digests of all tensors, in the order of their names.
inline std::string digest_of_all(const HfModel& model) {
  std::map<std::string, std::string> digests;
  for (const Tensor& tensor : model.tensors) digests[tensor.name] = digest(tensor);
  std::string all;
  for (const auto& [name, value] : digests) all += value;
  return sha256_hex(std::as_bytes(std::span(all))).substr(0, 16);
}

}  // namespace galatea::lora_sample
