// The tensors of a checkpoint under common names and in a common layout, so that two containers of one model
// can be laid side by side.
//
//   weights that have a role in a LLaMA   Hugging Face's names; rows of q and k half-split (rotary); shards of
//                                         Meta's folders joined; dtype as stored
//   lm_head.weight of a tied model        the embedding, where the container leaves the head out
//   everything else                       own names, as stored
//
// Rows of q and k of a file with Meta's or GGUF's names can only be put in order where the number of heads is
// known: without a configuration (a lone .pth, another architecture) they keep their own names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"

namespace galatea {

struct CommonTensors {
  /// Weights in the order of llama_tensor_order, then the others by name. Names are unique.
  std::vector<Tensor> tensors;
  std::vector<std::string> notes;  ///< what could not be brought into the common form
};

/// Reads no weights; throws Error(input) by refuse_repetition. The checkpoint may go, what is returned keeps its files open.
CommonTensors common_tensors(const Checkpoint& checkpoint);

/// Views of a torch file may lie over each other, or repeat one value (stride 0), and so make days of work out
/// of a small file. Throws Error(input) when `tensors` have more than 16 times the bytes of the files that hold
/// them, and 1 GiB; `path` is for the message.
void refuse_repetition(std::span<const Tensor> tensors, std::uint64_t file_bytes,
                       const std::filesystem::path& path);

/// True for buffers that follow from the configuration and that only some containers store:
/// "...rotary_emb.inv_freq" of Hugging Face, "rope.freqs" of Meta. A checkpoint without them is whole.
bool is_rotary_table(std::string_view name);

}  // namespace galatea
