// One container of weights into another: Hugging Face folders (.bin, safetensors), GGUF, and out of Meta's
// .pth and llama2.c's .bin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "converter/counted_cast.h"
#include "converter/hf_model.h"
#include "converter/hf_output.h"
#include "format/plan.h"

namespace galatea {

enum class ConvertTarget { safetensors, bin, gguf };

struct ConvertOptions {
  ConvertTarget target = ConvertTarget::safetensors;
  /// F32, F16 or BF16. Nothing: types are kept, quantized weights become F16 (in GGUF: matrices keep the type
  /// that most of them have).
  std::optional<DType> type{};
  std::uint64_t max_shard_bytes = default_shard_bytes;
  std::string name{};                 ///< general.name of a GGUF; empty: from the source
  std::filesystem::path tokenizer{};  ///< tokenizer.model instead of the source's; empty: that
  std::string name_or_path{};         ///< _name_or_path of config.json; empty: as it was
  std::filesystem::path
      tokenizer_folder{};     ///< its tokenizer files, where there are any, win over the source's
  bool round_scales = false;  ///< float32 scales of GGML blocks may become the nearest float16 in a GGUF
};

/// What a conversion will write: a folder, or one file.
struct Conversion {
  Plan plan;
  bool single_file = false;  ///< plan.files has one file, whose name the caller chooses
  std::shared_ptr<CastLosses> losses;
  std::vector<std::string> notes;
};

/// `model` is hf_model(source), its rows perhaps changed. A GGUF is one file: metadata and tokenizer as
/// llama.cpp expects, rotary rows of q and k interleaved, vectors F32.
Conversion convert_model(const Checkpoint& source, HfModel model, const ConvertOptions& options);

/// Any checkpoint. A single .bin or .safetensors file becomes a single file of the other container, names and
/// order as stored (so one shard of several can be converted); to become GGUF it has to be a whole model with
/// its config.json beside it, else Error(usage or input). A GGML file becomes a GGUF of the same blocks, unless a type
/// is given: Error(usage) when float16 does not hold their scales and they may not be rounded.
Conversion convert(const Checkpoint& source, const ConvertOptions& options);

/// "safetensors", "bin" or "gguf". Throws Error(usage).
ConvertTarget parse_convert_target(std::string_view text);
/// F32, F16 or BF16, in any case, also as float32, float16, bfloat16. Throws Error(usage).
DType parse_weight_type(std::string_view text);

}  // namespace galatea
