#include "quantize/quantize_model.h"

#include <algorithm>
#include <utility>

#include "format/error.h"

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
  if (!source.quantized() || tensor.type() == target || allow_requantize) return;
  throw Error(ErrorKind::usage, "the weights are quantized already; doing it again adds the errors of both")
      .tensor(tensor.name)
      .found(source.name)
      .remedy("start from the F16, BF16 or F32 weights, or give --allow-requantize");
}

/// A matrix that got F16 though the mix has none.
bool falls_back(const Tensor& tensor, const TypeMix& mix, DType type) {
  return tensor.shape.size() > 1 && type == DType::f16 && mix.type != DType::f16 &&
         mix.output_type != DType::f16 && mix.embedding_type != DType::f16;
}

}  // namespace

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
  need_encoder(options.mix.type);
  need_encoder(options.mix.output_type.value_or(options.mix.type));
  need_encoder(options.mix.embedding_type.value_or(options.mix.type));
  set_gguf_file_type(model.metadata, options.mix.type);
  const bool tied = std::none_of(model.tensors.begin(), model.tensors.end(),
                                 [](const Tensor& tensor) { return tensor.name == "output.weight"; });
  QuantizationPlan plan;
  for (Tensor& tensor : model.tensors) {
    const DType type = mixed_type(tensor, options.mix, tied);
    if (falls_back(tensor, options.mix, type)) {
      plan.notes.push_back(tensor.name + " is stored as F16: its rows of " +
                           std::to_string(tensor.shape.back()) + " values are not whole blocks");
    }
    check_source(tensor, type, options.allow_requantize);
    QuantizedTensor report{tensor.name, tensor.shape, tensor.type(), type, 0, nullptr};
    if (options.measure && type != tensor.type()) {
      report.error = std::make_shared<QuantizationError>(tensor.data->rows());
    }
    try {
      tensor.data = quantize_rows(tensor.data, type, report.error);
    } catch (Error& error) {
      throw error.tensor(tensor.name).file(tensor.file);
    }
    report.bytes = tensor.bytes();
    plan.tensors.push_back(std::move(report));
  }
  plan.layout = gguf_layout(std::move(file_name), model.metadata, std::move(model.tensors));
  return plan;
}

}  // namespace galatea
