#include "quantize/quantize_model.h"

#include <algorithm>
#include <map>
#include <utility>

#include "format/error.h"
#include "format/ggml_blocks.h"
#include "quantize/better_search.h"
#include "quantize/metadata_override.h"

namespace galatea {
namespace {

void need_encoder(DType type) {
  if (find_encoder(type) != nullptr) return;
  std::string known;
  for (const Encoder& row : all_encoders()) {
    known += (known.empty() ? "" : ", ") + std::string(type_info(row.type).name);
  }
  throw Error(ErrorKind::usage, "galatea does not write the type " + std::string(type_info(type).name))
      .expected(known);
}

void check_source(const Tensor& tensor, DType target, bool allow_requantize) {
  const TypeInfo& source = type_info(tensor.type());
  const GgmlType* blocks = decoded_from(*tensor.data);
  const bool plain = blocks == nullptr && !source.quantized();
  if (plain || tensor.type() == target || allow_requantize) return;
  throw Error(ErrorKind::usage, "the weights are quantized already; doing it again adds the errors of both")
      .tensor(tensor.name)
      .found(blocks != nullptr ? blocks->name : source.name)
      .remedy("start from the F16, BF16 or F32 weights, or give --allow-requantize");
}

/// What a tensor of too short rows would be, "Q4_K -> Q5_0".
std::string fall(const TypeChoice& choice) {
  return std::string(type_info(choice.wanted).name) + " -> " + std::string(type_info(choice.type).name);
}

/// Refuses the choices that are not what was asked for, as lines of "4 tensors of 576 columns, Q4_K -> Q5_0".
void refuse_falls(const std::vector<Tensor>& tensors, const std::vector<TypeChoice>& choices) {
  struct Fall {
    std::uint64_t count = 0;
    std::string first;
  };
  std::map<std::pair<std::string, std::uint64_t>, Fall> falls;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (choices[i].type == choices[i].wanted) continue;
    Fall& same = falls[{fall(choices[i]), tensors[i].shape.back()}];
    if (same.count++ == 0) same.first = tensors[i].name;
  }
  if (falls.empty()) return;
  std::string table;
  for (const auto& [kind, same] : falls) {
    table += (table.empty() ? "" : "; ") + kind.first + ": " + std::to_string(same.count) +
             (same.count == 1 ? " tensor of " : " tensors of ") + std::to_string(kind.second) + " columns (" +
             same.first + (same.count == 1 ? ")" : ", ...)");
  }
  throw Error(ErrorKind::usage, "rows are no whole blocks of the types they should get")
      .found(table)
      .remedy("--fallback takes the types behind the arrows, as llama.cpp does; or choose another type");
}

/// The weights for a tensor that can use them.
std::shared_ptr<const std::vector<float>> importance_for(const Tensor& tensor, DType type,
                                                         const QuantizeOptions& options) {
  const auto found = options.importance.find(tensor.name);
  if (found != options.importance.end()) return found->second;
  if (needs_importance(tensor, type, options.mix)) {
    throw Error(ErrorKind::usage, options.importance.empty()
                                      ? "this type is of no use without an importance matrix"
                                      : "the importance matrix has nothing for a tensor that needs it")
        .tensor(tensor.name)
        .found(type_info(type).name)
        .remedy("give --imatrix with weights for every matrix, or give this tensor a type of more bits");
  }
  return nullptr;
}

/// Says which types have no better search.
void note_plain_searches(QuantizationPlan& plan) {
  std::map<std::string_view, std::uint64_t> plain;
  for (const QuantizedTensor& tensor : plan.tensors) {
    const TypeInfo& type = type_info(tensor.to);
    if (tensor.from == tensor.to || !type.quantized() || find_improver(tensor.to) != nullptr) continue;
    ++plain[type.name];
  }
  for (const auto& [name, count] : plain) {
    plan.notes.push_back("no better search for " + std::string(name) + ": the reference's is used for " +
                         std::to_string(count) + (count == 1 ? " tensor" : " tensors"));
  }
}

/// Tensors outside of layers first, then layer by layer, by name.
void sort_tensors(std::vector<Tensor>& tensors) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    const auto layer_a = gguf_layer_of(a.name);
    const auto layer_b = gguf_layer_of(b.name);
    return layer_a != layer_b ? layer_a < layer_b : a.name < b.name;
  });
}

/// general.quantization_version and .file_type behind what the model had, before what tells of the importance.
void sort_metadata(GgufMetadata& metadata) {
  constexpr std::string_view version = "general.quantization_version", file_type = "general.file_type";
  const auto rank = [&](const GgufEntry& entry) {
    if (entry.key == version) return 1;
    if (entry.key == file_type) return 2;
    return entry.key.starts_with("quantize.") ? 3 : 0;
  };
  std::stable_sort(metadata.begin(), metadata.end(),
                   [&](const GgufEntry& a, const GgufEntry& b) { return rank(a) < rank(b); });
}

}  // namespace

std::uint64_t QuantizationPlan::size() const {
  std::uint64_t bytes = 0;
  for (const FileLayout& file : files) bytes += file.size();
  return bytes;
}

double QuantizationPlan::bits_per_weight() const {
  double bits = 0;
  double values = 0;
  for (const QuantizedTensor& tensor : tensors) {
    bits += 8.0 * static_cast<double>(tensor.bytes);
    values += static_cast<double>(tensor.values());
  }
  return values == 0 ? 0 : bits / values;
}

QuantizationPlan plan_quantization(GgufModel model, std::string file_name, const QuantizeOptions& options) {
  set_gguf_file_type(model.metadata, options.mix.named->file_type);
  override_metadata(model.metadata, options.overrides);
  sort_metadata(model.metadata);
  // Parts keep the tensors that they have.
  if (!options.split || options.split->ends.empty()) sort_tensors(model.tensors);
  ModelTraits traits = traits_of(model.metadata, model.tensors);
  traits.importance = !options.importance.empty();
  std::vector<TypeChoice> choices;
  for (const Tensor& tensor : model.tensors) {
    choices.push_back(choose_type(tensor, options.mix, traits));
    if (choices.back().type != tensor.type()) need_encoder(choices.back().type);
  }
  if (!options.fallback) refuse_falls(model.tensors, choices);
  QuantizationPlan plan;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    Tensor& tensor = model.tensors[i];
    const DType type = choices[i].type;
    if (type != choices[i].wanted) {
      plan.notes.push_back(tensor.name + " is stored otherwise, " + fall(choices[i]) + ": its rows of " +
                           std::to_string(tensor.shape.back()) + " values are not whole blocks");
    }
    check_source(tensor, type, options.allow_requantize);
    QuantizedTensor report{tensor.name, tensor.shape, tensor.type(), type,
                           0,           nullptr,      tensor.data,   tensor.file};
    if (options.measure && type != tensor.type()) {
      report.error = std::make_shared<QuantizationError>(tensor.data->rows());
    }
    try {
      auto importance = type == tensor.type() ? nullptr : importance_for(tensor, type, options);
      report.weighted = importance != nullptr;
      tensor.data = quantize_rows(tensor.data, type, report.error, std::move(importance), options.search);
    } catch (Error& error) {
      throw error.tensor(tensor.name).file(tensor.file);
    }
    report.bytes = tensor.bytes();
    plan.tensors.push_back(std::move(report));
  }
  if (options.search == ScaleSearch::better) note_plain_searches(plan);
  if (options.split) {
    plan.files = gguf_split_layouts(file_name, model.metadata, std::move(model.tensors), *options.split);
  } else {
    plan.files.push_back(gguf_layout(std::move(file_name), model.metadata, std::move(model.tensors)));
  }
  return plan;
}

}  // namespace galatea
