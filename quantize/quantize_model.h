// A model as it will be in a quantized GGUF file, known to the byte before any work is done.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/gguf_llama.h"
#include "format/gguf_split.h"
#include "format/plan.h"
#include "quantize/encoder.h"
#include "quantize/type_mix.h"

namespace galatea {

/// One tensor on its way. `error` fills while the plan is written, and stays empty for tensors that are
/// copied.
struct QuantizedTensor {
  std::string name;
  Shape shape;
  DType from = DType::f32, to = DType::f32;
  std::uint64_t bytes = 0;
  std::shared_ptr<QuantizationError> error;
  RowsPtr source;              ///< the values before
  std::filesystem::path file;  ///< where they are
  bool weighted = false;       ///< with importance

  std::uint64_t values() const { return element_count(shape); }
};

struct QuantizationPlan {
  std::vector<FileLayout> files;         ///< one, or the parts that were asked for
  std::vector<QuantizedTensor> tensors;  ///< in the order of the files
  std::vector<std::string>
      notes;  ///< types that were taken for want of whole blocks, types without a better search

  /// Of all files, in bytes.
  std::uint64_t size() const;
  /// Stored bits for each weight, over all tensors.
  double bits_per_weight() const;
};

/// Weights of columns by tensor name, all of them finite and not negative.
using ImportanceMatrix = std::map<std::string, std::shared_ptr<const std::vector<float>>, std::less<>>;

struct QuantizeOptions {
  TypeMix mix;
  bool fallback = false;  ///< take other types where rows are no whole blocks, else that is refused
  ImportanceMatrix importance;
  bool allow_requantize = false;  ///< else a source that is quantized itself is refused
  ScaleSearch search = ScaleSearch::reference;
  bool measure = true;                 ///< fill QuantizedTensor::error
  std::vector<GgufEntry> overrides{};  ///< of the metadata, which choices of types follow
  std::optional<GgufSplit> split{};    ///< into parts, `file_name` is their prefix then
};

/// Tensors and metadata are in the order of llama-quantize, whose files these are, byte for byte, where the source
/// is a GGUF.
/// Throws Error(usage) for a type without an encoder, for a quantized source unless that is allowed, for types
/// that need importance where there is none, and, with the table of what would become of them, for rows that
/// are no whole blocks unless `fallback` is set; Error(input) naming the tensor for one that cannot be stored.
QuantizationPlan plan_quantization(GgufModel model, std::string file_name, const QuantizeOptions& options);

}  // namespace galatea
