// The index of a sharded checkpoint: model.safetensors.index.json, pytorch_model.bin.index.json.
//
//   {"metadata": {"total_size": BYTES}, "weight_map": {TENSOR: FILE, ...}}
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/source.h"

namespace galatea {

struct ShardIndex {
  std::map<std::string, std::string> weight_map;  ///< tensor -> file of the same folder
  std::optional<std::uint64_t> total_size;        ///< sum of the tensors' bytes, where the index says it

  /// The files, each once, sorted by name.
  std::vector<std::string> files() const;
};

/// Throws Error(input) when it is no such index or names a file that is not plainly in the same folder
/// ("..", a path, a control character, an empty name). Whether the files exist is for the caller to see.
ShardIndex read_shard_index(const ByteSource& source);
ShardIndex read_shard_index_file(const std::filesystem::path& path);

/// The text that transformers writes: json.dumps(index, indent=2, sort_keys=True) and a newline.
std::string shard_index_text(const ShardIndex& index);

/// The two numbers in a shard's name, "pytorch_model-00002-of-00003.bin": {2, 3}; nothing in other names.
struct ShardNumber {
  std::uint64_t number, count;
};
std::optional<ShardNumber> shard_number(std::string_view file_name);
/// "STEM-00002-of-00003SUFFIX", or "STEMSUFFIX" when count is 1.
std::string shard_file_name(std::string_view stem, std::uint64_t number, std::uint64_t count,
                            std::string_view suffix);

}  // namespace galatea
