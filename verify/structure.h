// Is a file or checkpoint sound in itself, without anything to compare it with?
//
//   tables    each weight file opens as its kind: zip directory and pickle, safetensors offsets, GGUF bounds;
//             no bytes behind the end; no Git LFS pointer in its place
//   shards    those that the index or their own names promise, no others; each tensor in the shard that the
//             index names, no tensor twice
//   model     where the configuration of a LLaMA says what there must be: every weight is there, in its shape
//   data      CRC-32 of every zip record; NaN and infinities in every tensor, decoded where it is quantized;
//             tensors of nothing but zeros are noted
//
// Only a zip archive carries sums of its data: a changed bit that leaves a number a number is found in a .bin
// or .pth, and in the other containers by comparing (tensor_compare.h, diff.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/error.h"
#include "format/progress.h"

namespace galatea {

struct StructureProblem {
  std::string file, tensor;
  std::optional<std::uint64_t> byte;  ///< in the file
  std::string problem, expected, found, remedy;
};

/// What an Error says, as a problem.
StructureProblem problem_of(const Error& error);

struct StructureReport {
  std::string kind;  ///< "Hugging Face folder", "GGUF", ...
  std::vector<std::filesystem::path> files;
  std::uint64_t tensors = 0, bytes = 0;    ///< of the files that could be opened; bytes of weights
  std::uint64_t records = 0;               ///< zip records whose CRC-32 was computed
  std::vector<StructureProblem> problems;  ///< at most 10,000
  std::vector<std::string> notes;
  bool sound() const { return problems.empty(); }
};

struct StructureOptions {
  bool data = true;  ///< read the data too, not only the tables
  Progress* progress = nullptr;
  int threads = 0;  ///< 0: as many as OpenMP would take
};

/// Throws Error(input) when `path` is missing, a folder without weights, or a file of no kind galatea knows; a
/// damaged file of a known kind is a problem of the report. Reads each byte once, in pieces of 1 MiB.
StructureReport check_structure(const std::filesystem::path& path, const StructureOptions& options = {});

/// What was checked, each problem with its place, notes, and a closing line.
std::string structure_text(const StructureReport& report);
/// {"sound", "kind", "files", "tensors", "bytes", "records", "problems": [{"file", "tensor", "byte",
///  "problem", "expected", "found", "remedy"}], "notes"}
nlohmann::json structure_json(const StructureReport& report);

}  // namespace galatea
