#include "converter/convert.h"

#include <algorithm>
#include <map>
#include <utility>

#include "format/error.h"
#include "format/ggml_blocks.h"
#include "format/gguf_llama.h"
#include "format/gguf_rope.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "format/sentencepiece_model.h"
#include "format/torch_layout.h"

namespace galatea {
namespace {

RowsPtr interleaved(RowsPtr rows, LlamaRole role, const LlamaConfig& config) {
  if (role != LlamaRole::q && role != LlamaRole::k) return rows;
  const std::uint64_t heads = role == LlamaRole::q ? config.heads : config.kv_heads;
  return reorder_rows(std::move(rows), rotary_half_to_interleaved(heads, config.head_dim));
}

/// The plain type that holds most of the matrices' values; F16 where they are quantized or merged.
DType kept_type(const std::vector<Tensor>& tensors) {
  std::map<DType, std::uint64_t> values;
  for (const Tensor& tensor : tensors) {
    const TypeInfo& type = type_info(tensor.type());
    const bool ggml_plain =
        tensor.type() == DType::f32 || tensor.type() == DType::f16 || tensor.type() == DType::bf16;
    if (tensor.shape.size() > 1)
      values[ggml_plain && !type.quantized() ? tensor.type() : DType::f16] +=
          tensor.data->rows() * tensor.data->cols();
  }
  DType most = DType::f16;
  std::uint64_t count = 0;
  for (const auto& [type, number] : values) {
    if (number > count) most = type;
    count = std::max(count, number);
  }
  return most;
}

/// Of a GGUF that gets other tokens or layers: its tokenizer taken apart and put together anew (with what the adapter's
/// folder has of one), all else that it says as it was.
GgufMetadata changed_gguf_metadata(const Checkpoint& source, const LlamaConfig& config,
                                   const ConvertOptions& options) {
  const GgufMetadata before =
      llama_gguf_model(source, {.name = options.name, .tokenizer = options.tokenizer}).metadata;
  GgufTokenizer tokenizer = tokenizer_from_gguf(*source.gguf());
  std::filesystem::path other = options.tokenizer;
  if (!options.tokenizer_folder.empty()) {
    const std::filesystem::path there = options.tokenizer_folder / "tokenizer.model";
    if (other.empty() && std::filesystem::is_regular_file(there)) other = there;
    const std::vector<AddedToken> added = read_added_tokens(options.tokenizer_folder);
    if (!added.empty()) tokenizer.added = added;
  }
  if (!other.empty()) tokenizer.model = read_sentencepiece_model(*open_file(other));
  const std::string* const name = source.gguf()->get_string("general.name");
  GgufMetadata after = llama_gguf_metadata(config, tokenizer.model, tokenizer.added,
                                           !options.name.empty() ? options.name
                                           : name != nullptr     ? *name
                                                                 : source.path().stem().string());
  for (const GgufEntry& entry : before) {
    const bool known =
        std::any_of(after.begin(), after.end(), [&](const GgufEntry& one) { return one.key == entry.key; });
    if (!known && !entry.key.starts_with("tokenizer.ggml.") && !entry.key.starts_with("split."))
      after.push_back(entry);
  }
  return after;
}

GgufMetadata changed_metadata(const Checkpoint& source, const LlamaConfig& config,
                              const ConvertOptions& options) {
  if (source.gguf() != nullptr) {
    if (config.vocab_size == source.config().vocab_size && config.layers == source.config().layers)
      return llama_gguf_model(source, {.name = options.name, .tokenizer = options.tokenizer}).metadata;
    return changed_gguf_metadata(source, config, options);
  }
  const auto tokenizer_in = [&](const std::filesystem::path& folder) {
    return !folder.empty() && std::filesystem::is_regular_file(folder / "tokenizer.model");
  };
  std::filesystem::path tokenizer = options.tokenizer;
  if (tokenizer.empty() && tokenizer_in(options.tokenizer_folder))
    tokenizer = options.tokenizer_folder / "tokenizer.model";
  if (tokenizer.empty() && source.tokenizer_model()) tokenizer = *source.tokenizer_model();
  if (tokenizer.empty()) throw Error(ErrorKind::input, "a GGUF needs tokenizer.model").file(source.path());
  std::vector<AddedToken> added;
  if (!options.tokenizer_folder.empty()) added = read_added_tokens(options.tokenizer_folder);
  if (added.empty()) added = read_added_tokens(source.path());
  const std::string name = options.name.empty() ? source.path().filename().string() : options.name;
  return llama_gguf_metadata(config, read_sentencepiece_model(*open_file(tokenizer)), added, name);
}

/// The parts of a GGUF for a model that no longer is what its source was: other tokens, other layers, a head of its own.
GgufModel gguf_of_changed(const Checkpoint& source, const HfModel& model, const ConvertOptions& options,
                          const std::map<std::string, Tensor>& by_name) {
  GgufModel gguf;
  gguf.metadata = changed_metadata(source, model.config, options);
  const auto take = [&](LlamaRole role, std::uint64_t layer) {
    const auto found = by_name.find(tensor_name({role, layer}, Naming::gguf));
    if (found != by_name.end()) gguf.tensors.push_back(found->second);
  };
  take(LlamaRole::embedding, 0);
  take(LlamaRole::final_norm, 0);
  take(LlamaRole::output, 0);
  for (std::uint64_t layer = 0; layer < model.config.layers; ++layer) {
    for (const LlamaRole role : {LlamaRole::attn_norm, LlamaRole::q, LlamaRole::k, LlamaRole::v, LlamaRole::o,
                                 LlamaRole::ffn_norm, LlamaRole::gate, LlamaRole::down, LlamaRole::up})
      take(role, layer);
  }
  if (const Tensor* factors = source.find(rope_factors_name)) gguf.tensors.push_back(*factors);
  return gguf;
}

/// Are the tensors of the plan those of the model?
bool same_tensors(const std::vector<Tensor>& planned, const std::map<std::string, Tensor>& by_name) {
  return planned.size() == by_name.size() &&
         std::all_of(planned.begin(), planned.end(), [&](const Tensor& tensor) {
           const auto found = by_name.find(tensor.name);
           return found != by_name.end() && found->second.shape == tensor.shape;
         });
}

Conversion to_gguf(const Checkpoint& source, HfModel model, const ConvertOptions& options) {
  Conversion out;
  out.single_file = true;
  out.losses = std::make_shared<CastLosses>();
  GgufModel gguf = llama_gguf_model(source, {.name = options.name, .tokenizer = options.tokenizer});
  std::map<std::string, Tensor> by_name;
  std::string strange;
  for (Tensor& tensor : model.tensors) {
    const auto id = parse_tensor_name(tensor.name);
    if (id) {
      tensor.data = interleaved(std::move(tensor.data), id->role, model.config);
      tensor.name = tensor_name(*id, Naming::gguf);
      by_name.emplace(tensor.name, std::move(tensor));
    } else if (!is_inv_freq(tensor.name)) {
      strange += (strange.empty() ? "" : ", ") + tensor.name;
    }
  }
  if (!strange.empty()) {
    throw Error(ErrorKind::input, "the checkpoint holds tensors that a LLaMA in GGUF does not have")
        .file(source.path())
        .found(strange);
  }
  if (const Tensor* factors = source.find(rope_factors_name)) by_name.emplace(factors->name, *factors);
  if (!same_tensors(gguf.tensors, by_name)) gguf = gguf_of_changed(source, model, options, by_name);
  const DType type = options.type ? *options.type : kept_type(gguf.tensors);
  for (Tensor& tensor : gguf.tensors) {
    tensor.data = counted_cast(by_name.at(tensor.name).data, gguf_tensor_type(tensor, type), out.losses);
  }
  set_gguf_file_type(gguf.metadata, type);
  out.plan.files.push_back(gguf_layout("model.gguf", gguf.metadata, std::move(gguf.tensors)));
  return out;
}

/// Rows with the blocks that they were decoded from, in the form of today; those of Q4_2 and Q4_3 stay F32.
GgufModel with_blocks(GgufModel model, const Checkpoint& source, bool round_scales,
                      std::vector<std::string>& notes) {
  std::uint64_t floats = 0, rounded = 0, scales = 0;
  std::string first;
  for (Tensor& tensor : model.tensors) {
    const GgmlType* type = decoded_from(*tensor.data);
    if (type == nullptr) continue;
    if (!type->present) {
      ++floats;
      continue;
    }
    const std::uint64_t inexact = count_inexact_scales(*tensor.data);
    if (inexact > 0 && rounded++ == 0) first = tensor.name + " (" + std::string(type->name) + ")";
    scales += inexact;
    tensor.data = repacked_rows(tensor.data);
  }
  if (rounded > 0 && !round_scales) {
    throw Error(ErrorKind::usage, "the blocks have float32 scales, which float16 does not hold exactly: " +
                                      std::to_string(scales) + " scales in " + std::to_string(rounded) +
                                      " tensors")
        .file(source.path())
        .found(first + (rounded > 1 ? " and others" : ""))
        .remedy(
            "--round-scales takes the nearest float16 (a weight changes by at most one part in 2048, as in "
            "llama.cpp's own step to GGJT 3); --dtype F32 keeps every value");
  }
  if (rounded > 0)
    notes.push_back(std::to_string(scales) + " scales of " + std::to_string(rounded) +
                    " tensors were rounded to float16");
  if (floats > 0) {
    notes.push_back(
        std::to_string(floats) +
        " tensors are of a type that GGUF does not have (Q4_2, Q4_3): their values are written as F32");
    set_gguf_file_type(model.metadata, DType::f32);
  }
  return model;
}

/// A GGML file as GGUF, its blocks as they are.
Conversion ggml_to_gguf(const Checkpoint& source, const ConvertOptions& options) {
  (void)LlamaWeights(source);  // is whole
  Conversion out;
  out.single_file = true;
  out.losses = std::make_shared<CastLosses>();
  GgufModel model =
      with_blocks(llama_gguf_model(source, {.name = options.name, .tokenizer = options.tokenizer}), source,
                  options.round_scales, out.notes);
  out.plan.files.push_back(gguf_layout("model.gguf", model.metadata, std::move(model.tensors)));
  return out;
}

Conversion lone_file(const Checkpoint& source, const ConvertOptions& options) {
  if (options.target == ConvertTarget::gguf) {
    throw Error(ErrorKind::usage, "a file of weights without config.json and tokenizer cannot become a GGUF")
        .file(source.path())
        .remedy("give the folder of the model");
  }
  Conversion out;
  out.single_file = true;
  out.losses = std::make_shared<CastLosses>();
  std::vector<Tensor> tensors = source.tensors();
  for (Tensor& tensor : tensors) {
    if (options.type && type_info(tensor.type()).floating)
      tensor.data = counted_cast(std::move(tensor.data), *options.type, out.losses);
  }
  out.plan.files.push_back(
      options.target == ConvertTarget::bin
          ? torch_zip_layout("pytorch_model.bin", std::move(tensors))
          : safetensors_layout("model.safetensors", std::move(tensors), {{"format", "pt"}}));
  return out;
}

}  // namespace

Conversion convert_model(const Checkpoint& source, HfModel model, const ConvertOptions& options) {
  if (options.target == ConvertTarget::gguf) return to_gguf(source, std::move(model), options);
  HfOutput folder = hf_output(
      source, std::move(model),
      {.container = options.target == ConvertTarget::bin ? HfContainer::bin : HfContainer::safetensors,
       .type = options.type,
       .max_shard_bytes = options.max_shard_bytes,
       .name_or_path = options.name_or_path,
       .tokenizer = options.tokenizer,
       .tokenizer_folder = options.tokenizer_folder});
  return {std::move(folder.plan), false, std::move(folder.losses), std::move(folder.notes)};
}

Conversion convert(const Checkpoint& source, const ConvertOptions& options) {
  const bool weights_alone =
      source.kind() == CheckpointKind::torch || source.kind() == CheckpointKind::safetensors;
  if (!source.has_config() || (weights_alone && options.target != ConvertTarget::gguf))
    return lone_file(source, options);
  const bool ggml = source.gguf() != nullptr && source.gguf()->find("ggml.container") != nullptr;
  if (ggml && options.target == ConvertTarget::gguf && !options.type) return ggml_to_gguf(source, options);
  return convert_model(source, hf_model(source), options);
}

ConvertTarget parse_convert_target(std::string_view text) {
  if (text == "safetensors") return ConvertTarget::safetensors;
  if (text == "bin") return ConvertTarget::bin;
  if (text == "gguf") return ConvertTarget::gguf;
  throw Error(ErrorKind::usage, "no such container").expected("safetensors, bin or gguf").found(text);
}

DType parse_weight_type(std::string_view text) {
  const std::map<std::string_view, DType> others = {
      {"float32", DType::f32}, {"float16", DType::f16}, {"bfloat16", DType::bf16}};
  const auto other = others.find(text);
  const std::optional<DType> type = other != others.end() ? other->second : find_type_by_name(text);
  if (type == DType::f32 || type == DType::f16 || type == DType::bf16) return *type;
  throw Error(ErrorKind::usage, "weights cannot be converted to that type")
      .expected("F32, F16 or BF16")
      .found(text)
      .remedy("for quantized types see galatea quantize");
}

}  // namespace galatea
