// Checkpoints of torch.save since torch 1.6 (.bin, .pt, .pth): a zip archive of stored records.
//
//   record                     what
//   NAME/data.pkl              a pickle of everything; tensors are calls of
//                              torch._utils._rebuild_tensor_v2 on storages, named by
//                              ('storage', torch.HalfStorage, KEY, 'cpu', ELEMENTS)
//   NAME/byteorder             "little"                                 since torch 2.1
//   NAME/.format_version, NAME/.storage_alignment                       since torch 2.7
//   NAME/data/KEY              the bytes of a storage, KEY = 0, 1, 2 ...
//   NAME/version               "3\n"
//   NAME/.data/serialization_id                                         since torch 2.1
//
// NAME is the file's name without its last extension, or "archive". A tensor is a view of a storage (offset
// and strides in elements); several tensors may share one. Source: torch/serialization.py, torch/_utils.py.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/pickle.h"
#include "format/tensor.h"
#include "format/zip_archive.h"

namespace galatea {

/// By what is in the archive; torch from the first to before the next one.
enum class TorchGeneration { torch_1_6, torch_2_1, torch_2_7 };
/// "torch 1.6 to 2.0".
std::string_view to_string(TorchGeneration generation);

/// A tensor as the pickle describes it.
struct TorchTensor {
  DType type;
  Shape shape;
  std::vector<std::uint64_t> strides;  ///< in elements
  std::uint64_t offset = 0;            ///< in elements of its storage
  std::string storage;                 ///< key of its storage
  std::uint64_t storage_elements = 0;
  bool requires_grad = false;
  bool parameter = false;
};

class TorchFile {
 public:
  /// Reads the tables and the pickle, checks that every tensor lies within its storage; reads no weights.
  /// Throws Error(input): damaged, hostile (with the list of what the pickle asked for), or another kind of
  /// file: from before torch 1.6, TorchScript, big-endian.
  static TorchFile open(const SourcePtr& source);
  /// True when the file is a zip archive, or one of torch's older kinds; open() then says more.
  static bool recognises(const ByteSource& source);

  /// The tensors that are members of the outermost dict, in its order. A file that is one bare tensor has it
  /// under the name "tensor".
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// All tensors, those in inner dicts and lists too, names joined by ".": {"model": {"w": T}} gives model.w.
  const std::vector<Tensor>& all_tensors() const { return all_tensors_; }
  /// Everything else as JSON, tensors left out; nested and in order. Keys that are no text are shown as
  /// Python would, tuples and sets are arrays, bytes are {"bytes": hex}.
  nlohmann::ordered_json values() const;

  TorchGeneration generation() const { return generation_; }
  /// NAME above.
  const std::string& folder() const { return folder_; }
  const ZipArchive& archive() const { return archive_; }
  const PickleTree& pickle() const { return pickle_; }
  /// The tensor that a node of pickle() stands for; nothing for other nodes.
  std::optional<TorchTensor> tensor_at(PickleId id) const;
  /// The record of a storage. Throws Error(input) when there is none.
  const ZipRecord& storage_record(std::string_view key) const;

 private:
  friend class TorchReader;
  ZipArchive archive_;
  std::string folder_;
  TorchGeneration generation_ = TorchGeneration::torch_1_6;
  PickleTree pickle_;
  std::vector<Tensor> tensors_, all_tensors_;
};

}  // namespace galatea
