// From a file back to what it was made from: the records that commands leave (verify/provenance.h), link by link.
//
// The record of an output names inputs; an input that has a record of its own leads on. What is still on the disk is
// hashed, each file once, and compared with what the records say of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "format/progress.h"

namespace galatea {

enum class ChainStatus {
  matches,    ///< the bytes are those of the record
  differs,    ///< other bytes or another size than the record says
  unchanged,  ///< the record has no digest; size and time of change are as recorded
  unknown,    ///< the record has no digest, and the file was changed since, or its time is not recorded
  gone,       ///< not there any more
};
std::string_view to_string(ChainStatus status);

struct ChainFile {
  std::filesystem::path path;  ///< where it was looked for
  std::uint64_t size = 0;      ///< as recorded
  std::string sha256;  ///< as recorded, by this record or by that of the file's maker; empty: not at all
  std::string found;   ///< what the file has now, where it differs
  ChainStatus status = ChainStatus::gone;
  bool made_here = false;  ///< an input that the chain has the record of
};

struct ChainLink {
  std::filesystem::path record;
  std::string command, version;
  std::vector<ChainFile> outputs, inputs;
};

struct ChainReport {
  std::vector<ChainLink> links;  ///< the output's own first; then those of its inputs, each once
  std::uint64_t count(ChainStatus status) const;  ///< of files, inputs and outputs
  /// Nothing differs, and every output of the first link is there.
  bool passed() const;
};

/// Walks back from `output`, a file or a folder that a command wrote. Throws Error(input) when it has no record or a
/// record is damaged, or names an output outside of its folder; at most 10,000 records are followed.
ChainReport check_chain(const std::filesystem::path& output, Progress& progress = silent_progress());

/// Puts the digests of inputs that are still as recorded (size and time of change) into the records of the chain that
/// lack them, as they were too large to be hashed in passing. Gives the number of digests added. Throws as
/// check_chain, Error(system) when a record cannot be written.
std::uint64_t complete_chain(const std::filesystem::path& output, Progress& progress = silent_progress());

std::string chain_text(const ChainReport& report);
/// {"passed", "links": [{"record", "command", "galatea", "outputs": [{"path", "size", "sha256", "status", "found"}],
///  "inputs": [...]}], "matches", "differs", "unchanged", "unknown", "gone"}
nlohmann::json chain_json(const ChainReport& report);

}  // namespace galatea
