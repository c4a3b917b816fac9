// GGUF, the container of llama.cpp: metadata and tensors in one file, or split over several.
//
//   bytes   what (little-endian)
//   4       "GGUF"
//   4       version u32: 1, 2 or 3
//   8       number of tensors (version 1: 4 bytes)
//   8       number of metadata entries (version 1: 4 bytes)
//   ...     entries: key string, type u32, value
//   ...     tensors: name string, rank u32, extents u64 each (version 1: u32) INNERMOST FIRST, ggml_type u32,
//           offset u64 from the start of the data
//   ...     zeros up to a multiple of the alignment (metadata general.alignment, else 32)
//   ...     data of the tensors, each at a multiple of the alignment, zeros between
//
//   string  length u64 (version 1: u32), bytes        array  type u32, length u64 (version 1: u32), values
//
// Version 3 differs from 2 only in allowing big-endian files, which are refused here. Split models are files
// NAME-00001-of-0000N.gguf with the entries split.no, split.count, split.tensors.count; the first part
// carries the metadata. Source: docs/gguf.md of ggml.
//
// Limits, against hostile files: 128 MiB of header, 65,536 entries, 1,000,000 tensors, rank 4, arrays nested
// 8 deep, an alignment of at most 1 MiB.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_value.h"
#include "format/plan.h"
#include "format/source.h"
#include "format/tensor.h"

namespace galatea {

class GgufFile {
 public:
  /// Opens a GGUF file, or all parts of a split model by any one of them. Throws Error(input).
  static GgufFile open(const std::filesystem::path& path);
  /// One part by itself, split or not.
  static GgufFile read(const SourcePtr& source);

  /// True when `source` starts like a GGUF file (of either byte order).
  static bool recognise(const ByteSource& source);

  std::uint32_t version() const { return version_; }
  std::uint64_t alignment() const { return alignment_; }
  const GgufMetadata& metadata() const { return metadata_; }
  /// In the order of the files' tables; file and offset are filled in, shapes are outermost first.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// The parts in their order; one unless the model is split.
  const std::vector<std::filesystem::path>& files() const { return files_; }

  const GgufValue* find(std::string_view key) const;

  // The value of an entry; nothing (nullptr) when there is none of that key, Error(input) naming key and type
  // when it is of another kind. Integers of every width are taken, and f32 for f64.
  std::optional<std::uint64_t> get_unsigned(std::string_view key) const;
  std::optional<std::int64_t> get_signed(std::string_view key) const;
  std::optional<double> get_number(std::string_view key) const;
  std::optional<bool> get_boolean(std::string_view key) const;
  const std::string* get_string(std::string_view key) const;
  const std::vector<std::string>* get_strings(std::string_view key) const;
  std::optional<std::vector<double>> get_numbers(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> get_integers(std::string_view key) const;

 private:
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32;
  GgufMetadata metadata_;
  std::map<std::string, std::size_t, std::less<>> by_key_;
  std::vector<Tensor> tensors_;
  std::vector<std::filesystem::path> files_;
};

/// A version 3 file of these entries and tensors, in the order given; the data of every tensor, the last one
/// too, is padded with zeros to the alignment (metadata general.alignment, else 32). Throws Error(usage) for
/// what GGUF cannot hold: a type without a ggml number, a rank above 4, a name longer than 63 bytes or given
/// twice.
FileLayout gguf_layout(std::string name, const GgufMetadata& metadata, std::vector<Tensor> tensors);

/// `metadata` without the entries that describe the container and not the model: split.* and
/// general.alignment.
GgufMetadata without_container_keys(const GgufMetadata& metadata);

}  // namespace galatea
