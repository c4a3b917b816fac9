// Writing torch files byte for byte as torch.save on CPython does.
//
//   record                              torch 1.6 to 2.0      2.1 to 2.6         since 2.7
//   NAME/data.pkl                       x                     x                  x
//   NAME/.format_version = "1"                                                   x
//   NAME/.storage_alignment = "64"                                               x
//   NAME/byteorder = "little"                                 x                  x
//   NAME/data/KEY                       as text: 0, 1, 10,    as text            as numbers: 0, 1, 2 ...
//                                       100, 11 ...
//   NAME/version = "3\n"                x                     x                  x
//   NAME/.data/serialization_id                               x                  x (torch_serialization_id.h)
//
// Nothing is compressed.
//
//   local    PK\3\4, versions, times, CRC-32 and sizes 0, flags 0x0808 (0x0800 for an empty record); extra:
//            zip64 where needed, then "FB", u16 n, n times 'Z', so that the data start at a multiple of 64
//   after    data descriptor of 16 bytes, or 24 when the record has a zip64 extra; none for an empty record
//   zip64    a record whose size or offset is at least FFFFFFFF; its local extra has the size (stored size 0)
//            and the offset
//   end      central directory without "FB", then always zip64 end record, locator and end record
//
// Source: torch's caffe2/serialize/inline_container.cc and its copy of miniz; checked against files of torch.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "format/plan.h"
#include "format/torch_file.h"

namespace galatea {

enum class TorchDict { plain, ordered };  ///< dict (what transformers saves), collections.OrderedDict

struct TorchLayoutOptions {
  TorchDict dict = TorchDict::plain;
  /// Folder inside the archive; empty: the file's name without its last extension.
  std::string folder{};
  TorchGeneration generation = TorchGeneration::torch_1_6;  ///< whose container
};

/// The file that torch.save({name: tensor, ...}) writes for contiguous tensors that share nothing, in the
/// given order. Throws Error(usage) for types that torch 1.13 lacks (F8, quantized), Error(input) for two
/// tensors of one name.
FileLayout torch_zip_layout(std::string name, std::vector<Tensor> tensors,
                            const TorchLayoutOptions& options = {});

/// The same for any tree of values; `storages` are the values of each storage that the tree names, by key.
FileLayout torch_tree_layout(std::string name, const PickleTree& tree,
                             const std::map<std::string, Tensor>& storages, const std::string& folder,
                             TorchGeneration generation = TorchGeneration::torch_1_6);

/// A torch file written anew from what was read of it, under the same folder and in the container of the same
/// generation: byte for byte what torch wrote.
FileLayout copy_torch_layout(std::string name, const TorchFile& file);

}  // namespace galatea
