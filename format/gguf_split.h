// A GGUF model in several files, as llama.cpp splits and loads it.
//
//   file                        holds
//   PREFIX-00001-of-0000N.gguf  all metadata, then split.no u16 = 0, split.count u16 = N,
//                               split.tensors.count i32 = those of all parts; the first tensors
//   PREFIX-0000I-of-0000N.gguf  split.no = I - 1, split.count, split.tensors.count; the next tensors
//
// A part is full when the next tensor would bring its data, padding included and header not, above the limit.
// A tensor that is larger than the limit by itself has a part of its own. Parts of a model whose alignment is
// not the usual 32 repeat general.alignment. Source: tools/gguf-split and llama_split_path of llama.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf.h"

namespace galatea {

struct GgufSplit {
  std::uint64_t max_bytes = 0;    ///< of data in a part; 0: no limit
  std::uint64_t max_tensors = 0;  ///< in a part; 0: no limit
  bool metadata_alone = false;    ///< the first part has no tensors
  /// Parts that end behind these tensors (the number of tensors before each end), instead of the limits.
  std::vector<std::uint64_t> ends{};
};

/// "PREFIX-00001-of-00003.gguf" for part 0 of 3.
std::string gguf_part_name(std::string_view prefix, std::uint64_t part, std::uint64_t parts);

struct GgufPartName {
  std::string prefix;
  std::uint64_t number = 0, count = 0;  ///< as in the name, from 1
};
/// Such a name taken apart; nothing when it is none.
std::optional<GgufPartName> parse_gguf_part_name(std::string_view name);

/// Where the parts of a model end: for each of `files` the number of `tensors` in it and in those before it.
/// Tensors follow each other as the files do.
std::vector<std::uint64_t> gguf_part_ends(const std::vector<std::filesystem::path>& files,
                                          const std::vector<Tensor>& tensors);

/// The files of a split model, whatever its number of parts (1 too); entries split.* of `metadata` are replaced.
/// Throws Error(usage) for more than 65,535 parts and for what gguf_layout refuses.
std::vector<FileLayout> gguf_split_layouts(const std::string& prefix, const GgufMetadata& metadata,
                                           std::vector<Tensor> tensors, const GgufSplit& split);

/// `metadata` without the entries split.*.
GgufMetadata without_split_keys(const GgufMetadata& metadata);

}  // namespace galatea
