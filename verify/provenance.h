// galatea.json: beside each output, what it was made from and how, so that every number can be checked.
//
//   {"galatea": VERSION, "command": "decode", "options": {...}, "arithmetic": "...",
//    "inputs":  [{"path", "relative", "size", "changed", "sha256"}...],
//    "outputs": [{"name", "size", "sha256"}...]}
//
// "path" is an input as it was given, "relative" as it is seen from the record, "changed" its time of change in
// nanoseconds since 1970. Outputs are hashed as they are written. Inputs of up to 64 MiB in all are hashed when the record
// is written; of larger ones, which would have to be read once more, `galatea verify --chain OUT --complete` adds the
// digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/plan.h"

namespace galatea {

inline constexpr std::uint64_t hashed_inputs = std::uint64_t{1} << 26U;  ///< bytes of all inputs of a record

/// The record's name in a folder; a file's record is called FILE.galatea.json.
inline constexpr std::string_view provenance_name = "galatea.json";

struct Provenance {
  std::string command;
  std::string arithmetic;                     ///< how values were computed, empty when bytes were only moved
  std::vector<std::filesystem::path> inputs;  ///< files, or folders whose files are listed
  std::vector<WrittenFile> outputs;
};

/// Writes the record to OUTPUT/galatea.json when `output` is a folder, else to OUTPUT.galatea.json, replacing
/// an older one. `options` is a JSON object of the command's options. Throws Error(system).
void write_provenance(const Provenance& record, const nlohmann::json& options,
                      const std::filesystem::path& output);

/// Replaces the record at `path`. Throws Error(system).
void write_record(const nlohmann::ordered_json& document, const std::filesystem::path& path);

}  // namespace galatea
