#include "converter/base.h"

#include <cmath>
#include <utility>

#include "converter/tokenizer_json.h"
#include "format/error.h"

namespace galatea {

std::vector<float> rotary_inv_freq(std::uint64_t head_dim, double theta) {
  std::vector<float> values(static_cast<std::size_t>(head_dim / 2));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float inverse = 1.0F / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
    values[i] = f16_to_f32(f32_to_f16(inverse));
  }
  return values;
}

std::vector<Tensor> base_state_dict(const LlamaConfig& config, DType inv_freq_type,
                                    const std::function<Tensor(LlamaTensorId)>& get) {
  const std::vector<float> inv_freq = rotary_inv_freq(config.head_dim, config.rope_theta);
  const RowsPtr buffer = cast_rows(memory_rows(inv_freq, inv_freq.size(), 1), inv_freq_type);
  std::vector<Tensor> tensors;
  for (const LlamaTensorId id : llama_tensor_order(config.layers, true)) {
    Tensor tensor = get(id);
    tensor.name = tensor_name(id, Naming::hf);
    tensor.data = cast_rows(std::move(tensor.data), DType::f16);
    tensors.push_back(std::move(tensor));
    if (id.role == LlamaRole::o)
      tensors.push_back({inv_freq_name(id.layer), {inv_freq.size()}, buffer, {}, 0});
  }
  return tensors;
}

LlamaConfig base_config(LlamaConfig config) {
  config.bos_id = 1;
  config.eos_id = 2;
  config.pad_id = 0;
  config.context = 2048;
  config.tied_embeddings = false;
  return config;
}

Plan base_plan(const Checkpoint& source, const BaseOptions& options) {
  if (!source.tokenizer_model()) {
    throw Error(ErrorKind::input, "there is no tokenizer.model with these weights")
        .file(source.path())
        .expected("tokenizer.model in this folder or the one above")
        .remedy("copy tokenizer.model (499,723 bytes) of the LLaMA release there");
  }
  const SourcePtr tokenizer = open_file(*source.tokenizer_model());
  const LlamaWeights weights(source);
  const LlamaConfig config = base_config(source.config());
  const HfGeneration& generation = *options.generation;
  Plan plan;
  plan.files = hf_weight_files(
      base_state_dict(config, generation.inv_freq,
                      [&](LlamaTensorId id) { return weights.get(id, LlamaWeights::Rotary::half); }),
      HfContainer::bin, options.max_shard_bytes);
  plan.files.push_back(
      literal_layout("config.json", config_json(config, DType::f16, generation.transformers_version)));
  plan.files.push_back(literal_layout("generation_config.json",
                                      generation_config_json(config, generation.transformers_version)));
  plan.files.push_back(literal_layout("special_tokens_map.json", special_tokens_map_json()));
  plan.files.push_back(
      literal_layout("tokenizer_config.json", tokenizer_config_json(generation.model_max_length)));
  plan.files.push_back(
      literal_layout("tokenizer.json", tokenizer_json(read_sentencepiece_model(*tokenizer))));
  plan.files.push_back(copy_layout("tokenizer.model", tokenizer));
  return plan;
}

}  // namespace galatea
