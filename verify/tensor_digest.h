// Digests of tensors: of what a tensor says, not of how a container stores it.
//
//   SHA-256 over   bytes
//                  "galatea tensor digest v1" and a zero byte
//                  the dtype's name as in dtype.h ("F16", "BF16", "F32", "Q4_0") and a zero byte
//                  the rank as u64, then each extent as u64, outermost first      all little-endian
//                  the values in row-major order, little-endian; quantized types: their blocks, row by row
//
// of the tensors of common_tensors.h. So the same weights in a Meta folder, a Hugging Face folder (.bin or
// safetensors) and a GGUF file have the same digests, as long as the types are the same. A type is part of
// what is hashed: llama.cpp's converter widens norms to F32, and F32 ones have another digest than F16 ones;
// comparing (compare_tensors) then tells "the same values in another type" from other values.
//
// A list of digests is text:
//
//   # galatea tensor digests v1
//   <64 hex digits>  F16  [4096,11008]  model.layers.0.mlp.down_proj.weight
//   # weights: <64 hex digits>
//
// in the order of common_tensors; "[]" for a scalar. In names, backslash, control characters and what is no
// UTF-8 are escaped: \\ and \xNN. Lines with # are comments. "weights" is the SHA-256 of the lines (each with
// its line feed) of the tensors that have a role in a LLaMA: one number for a model, whatever the container
// adds to it.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/progress.h"
#include "format/tensor.h"

namespace galatea {

struct TensorDigest {
  std::string name;
  std::string type;  ///< name of the dtype; a list may have one that galatea does not know
  Shape shape;
  std::string sha256;  ///< lower-case hex
};

/// Reads the tensor once, in pieces of 1 MiB (at least one row); calls progress.advance only, in bytes.
TensorDigest tensor_digest(const Tensor& tensor, Progress& progress = silent_progress());

/// The digest that the same values would have as `type`; nothing when `type` is quantized or cannot hold one
/// of the values exactly.
std::optional<TensorDigest> tensor_digest_as(const Tensor& tensor, DType type,
                                             Progress& progress = silent_progress());

/// Of each tensor, in their order; several at once (threads 0: as many as OpenMP would take).
std::vector<TensorDigest> tensor_digests(std::span<const Tensor> tensors,
                                         Progress& progress = silent_progress(), int threads = 0);

/// The number behind "# weights:"; nothing when no tensor has a role in a LLaMA.
std::optional<std::string> weights_digest(std::span<const TensorDigest> digests);

/// The list as text; ends with a line feed.
std::string tensor_list_text(std::span<const TensorDigest> digests);

/// True when `text` starts as a list does.
bool is_tensor_list(std::string_view text);
/// Throws Error(input) with the number of the line for anything that is no such line, for a name given twice,
/// and when "weights" does not fit the lines. `source` names the list in messages.
std::vector<TensorDigest> parse_tensor_list(std::string_view text, const std::filesystem::path& source);

}  // namespace galatea
