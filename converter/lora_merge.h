// Adapters merged into a model: the plan of it, tensor by tensor.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "converter/hf_model.h"
#include "converter/lora_adapter.h"
#include "converter/lora_report.h"
#include "converter/lora_rows.h"
#include "converter/lora_vocabulary.h"

namespace galatea {

/// "PATH" or "PATH:SCALE".
struct AdapterArgument {
  std::filesystem::path path;
  double scale = 1;
};
/// What stands behind the last colon is the scale when it is a number and no such path exists.
/// Throws Error(usage) for a scale that is not finite.
AdapterArgument parse_adapter_argument(std::string_view text);

struct ScaledAdapter {
  LoraAdapter adapter;
  double scale = 1;
};

/// One thing that an adapter does to a tensor.
struct AppliedChange {
  std::size_t adapter = 0;  ///< which, in order
  std::string_view
      kind;  ///< "lora", "embedding", "dora", "replaced", "rows", "bias", "parameter", "vocabulary"
  std::uint64_t rank = 0;  ///< 0 for what is no product
  double scaling = 1;      ///< alpha/r or alpha/sqrt(r), times the scale of the argument
};

struct MergedTensor {
  std::string name;
  std::vector<AppliedChange> applied;
  std::shared_ptr<ChangeCounter> change;  ///< filled while the tensor is written
};

struct MergeOptions {
  LoraArithmetic arithmetic = LoraArithmetic::peft;
  DType loaded = DType::f32;  ///< the type in which PEFT would have had the model in memory
  /// What is written, for all floating tensors. Values that are no longer finite in it fail the merge.
  DType type = DType::f16;
  bool allow_unused = false;
  std::optional<VocabularyRule> vocabulary{};  ///< nothing: another vocabulary is an Error(input)
  std::uint64_t pad_to = 1;                    ///< rows of embedding and head become a multiple of it
};

struct MergeResult {
  std::vector<MergedTensor> tensors;  ///< in the model's order
  std::vector<std::string>
      notes;                      ///< for people: untied embeddings, other vocabularies, what was left unused
  bool adapter_tokenizer = true;  ///< the model has a row for every token of the adapters' tokenizer files
};

/// Replaces the model's rows by merged and checked ones, of the type that is written. Adapters act in order; each
/// first replaces whole tensors, then adds its products, then sets single rows, as PEFT does. A tied output head that
/// only then differs from the embedding becomes a tensor of its own.
/// Throws Error(input), listing them, for settings and tensors of an adapter that are not understood or match
/// nothing in the model, unless these are allowed.
MergeResult merge_adapters(HfModel& model, const std::vector<ScaledAdapter>& adapters,
                           const MergeOptions& options);

/// One line: which arithmetic was followed.
std::string describe_arithmetic(const MergeOptions& options);

}  // namespace galatea
