#include "converter/base.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "converter/tokenizer_json.h"
#include "format/error.h"
#include "format/json.h"

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

namespace {

/// Rows that have a size and no values.
class ShapeOnly final : public Rows {
 public:
  ShapeOnly(DType type, const MatrixShape& shape) : Rows(type, shape.rows, shape.cols) {}
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override {
    throw Error(ErrorKind::usage, "only the shapes of these weights are known, not their values");
  }
};

std::vector<Tensor> state_dict_of_shapes(const LlamaConfig& config, DType inv_freq) {
  return base_state_dict(config, inv_freq, [&](LlamaTensorId id) {
    const Shape shape = expected_shape(id, config);
    return Tensor{"", shape, std::make_shared<ShapeOnly>(DType::f16, matrix_shape(shape, DType::f16)), {}, 0};
  });
}

Error no_tokenizer(const std::filesystem::path& folder) {
  return std::move(Error(ErrorKind::input, "there is no tokenizer.model with these weights")
                       .file(folder)
                       .expected("tokenizer.model in this folder or the one above")
                       .remedy("copy tokenizer.model (499,723 bytes) of the LLaMA release there"));
}

Plan plan_of(const LlamaConfig& config, std::vector<Tensor> tensors, const SourcePtr& tokenizer,
             const BaseOptions& options) {
  const HfGeneration& generation = options.generation;
  const std::string& version = generation.transformers_version;
  Plan plan;
  plan.files =
      hf_weight_files(std::move(tensors), HfContainer::bin, options.max_shard_bytes, generation.torch);
  plan.files.push_back(literal_layout("config.json", config_json(config, DType::f16, version)));
  plan.files.push_back(literal_layout("generation_config.json", generation_config_json(config, version)));
  plan.files.push_back(literal_layout("special_tokens_map.json", special_tokens_map_json()));
  plan.files.push_back(
      literal_layout("tokenizer_config.json", tokenizer_config_json(generation.model_max_length)));
  plan.files.push_back(
      literal_layout("tokenizer.json", tokenizer_json(read_sentencepiece_model(*tokenizer))));
  plan.files.push_back(copy_layout("tokenizer.model", tokenizer));
  return plan;
}

}  // namespace

Plan base_plan(const Checkpoint& source, const BaseOptions& options) {
  if (!source.tokenizer_model()) throw no_tokenizer(source.path());
  const LlamaWeights weights(source);
  const LlamaConfig config = base_config(source.config());
  return plan_of(
      config,
      base_state_dict(config, options.generation.inv_freq,
                      [&](LlamaTensorId id) { return weights.get(id, LlamaWeights::Rotary::half); }),
      open_file(*source.tokenizer_model()), options);
}

MetaTables read_meta_tables(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const fs::path params = folder / "params.json";
  MetaTables out;
  const nlohmann::json document = parse_json_file(params);
  std::error_code ignored;
  for (const fs::path& place : {folder / "tokenizer.model", folder / ".." / "tokenizer.model"}) {
    if (out.tokenizer.empty() && fs::is_regular_file(place, ignored))
      out.tokenizer = place.lexically_normal();
  }
  if (out.tokenizer.empty()) throw no_tokenizer(folder);
  try {
    out.config = config_from_meta(document);
    if (out.config.vocab_size == 0)
      out.config.vocab_size = read_sentencepiece_model(*open_file(out.tokenizer)).pieces.size();
    out.config.validate();
  } catch (Error& error) {
    error.file(params);
    throw;
  }
  return out;
}

Plan base_plan_of_shapes(const MetaTables& meta, const BaseOptions& options) {
  const LlamaConfig config = base_config(meta.config);
  return plan_of(config, state_dict_of_shapes(config, options.generation.inv_freq), open_file(meta.tokenizer),
                 options);
}

Plan side_files_of(Plan plan) {
  std::erase_if(plan.files, [](const FileLayout& file) { return file.name.ends_with(".bin"); });
  return plan;
}

std::string name_of_size(const LlamaConfig& config) {
  struct Known {
    std::uint64_t hidden, layers;
    const char* name;
  };
  for (const Known& known : {Known{4096, 32, "LLaMA 7B"}, Known{5120, 40, "LLaMA 13B"},
                             Known{6656, 60, "LLaMA 30B"}, Known{8192, 80, "LLaMA 65B"}}) {
    if (config.hidden_size == known.hidden && config.layers == known.layers) return known.name;
  }
  return "LLaMA of " + std::to_string(config.layers) + " layers, width " + std::to_string(config.hidden_size);
}

std::string recognise_base(const LlamaConfig& config, const std::vector<std::uint64_t>& sizes,
                           std::uint64_t max_shard_bytes) {
  for (const TorchGeneration torch :
       {TorchGeneration::torch_1_6, TorchGeneration::torch_2_1, TorchGeneration::torch_2_7}) {
    for (const DType inv_freq : {DType::f32, DType::f16}) {
      std::vector<std::uint64_t> expected;
      for (const FileLayout& file : hf_weight_files(state_dict_of_shapes(config, inv_freq), HfContainer::bin,
                                                    max_shard_bytes, torch)) {
        if (file.name.ends_with(".bin")) expected.push_back(file.size());
      }
      if (expected == sizes) {
        return name_of_size(config) + ", " + std::string(to_string(torch)) + ", " +
               (inv_freq == DType::f32 ? "4" : "2") + "-byte rotary buffers";
      }
    }
  }
  return {};
}

}  // namespace galatea
