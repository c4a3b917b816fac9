// Inside of structure.cpp: weight files one by one, and what of them is to be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "format/source.h"
#include "format/tensor.h"

namespace galatea {

/// Values of one tensor within a region.
struct ScanSpan {
  std::size_t tensor;        ///< index in the file's tensors
  std::uint64_t begin, end;  ///< bytes from the start of the region
};

/// A stretch of a file that is read once: a zip record, or the data of one tensor.
struct ScanRegion {
  std::uint64_t offset = 0, size = 0;
  std::string record;                ///< of a zip archive
  std::optional<std::uint32_t> crc;  ///< that it must have
  std::vector<ScanSpan> spans;
};

/// One weight file whose tables are in order.
struct WeightFile {
  std::filesystem::path path;
  SourcePtr source;
  std::string kind;
  std::vector<Tensor> tensors;
  std::vector<ScanRegion> regions;
  std::vector<std::size_t> scattered;  ///< tensors whose values do not lie in one stretch: read as rows
  std::vector<std::string> notes;
};

/// Opens one weight file (a GGUF part by itself) by its contents and, where those say nothing, by its
/// extension. Throws Error(input): damaged, with bytes behind its end, or a Git LFS pointer. Nothing when
/// neither tells a kind.
std::optional<WeightFile> open_weight_file(const std::filesystem::path& path);

}  // namespace galatea
