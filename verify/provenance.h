// galatea.json: beside each output, what it was made from and how, so that every number can be checked.
//
//   {"galatea": VERSION, "command": "decode", "options": {...}, "arithmetic": "...",
//    "inputs":  [{"path", "size"}...],
//    "outputs": [{"name", "size", "sha256"}...]}
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/plan.h"

namespace galatea {

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

}  // namespace galatea
