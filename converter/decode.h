// XOR payload + base -> the released files, and back.
//
// Both directions take a flat folder of files and a base (decode_base.h), and plan one output for each file:
//   - a file that the base has too is XORed with it (xor_codec.h);
//   - added_tokens.json without one in the base is copied;
//   - papers that come along (.*, *.md, LICENSE*, *.py, lists of digests) without one in the base are
//     left out;
//   - galatea.json, the record of how a folder was made, is passed over;
//   - any other file that the base lacks is an error, as is a sub-folder.
// A payload folder without such files but with exactly one sub-folder that has them is taken to mean
// that one. A JSON that comes out as garbage, or not as published, is repaired where the right base is known
// (json_repair.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "converter/decode_base.h"
#include "converter/stream_source.h"
#include "format/plan.h"
#include "format/progress.h"
#include "verify/releases.h"

namespace galatea {

struct XorFile {
  std::string name;
  bool copied = false;                          ///< else XORed
  Compression compression = Compression::none;  ///< of the payload
  std::uint64_t size = 0;                       ///< of the output
  std::string repaired{};                       ///< how a JSON was repaired; empty when it was not
};

struct XorPlan {
  std::filesystem::path payload;   ///< the folder that holds the files, nested or not
  std::optional<DecodeBase> base;  ///< what the payload is XORed with
  std::vector<XorFile> files;      ///< weights first, in the order of `plan.files`
  Plan plan;                       ///< with a content check on each decoded file
  std::vector<std::string> notes;  ///< what was left out or found deeper, for people
  int most_threads = 0;  ///< for write_plan, so that compressed streams are read about in order; 0: no limit
};

struct DecodeOptions {
  DecodeBaseOptions base;
  /// Files of the payload that are not to be decoded.
  std::set<std::string> leave_out;
  /// How the payload is packed; nothing: recognised by its first bytes, file by file.
  std::optional<Compression> compression;
  /// Published contents of the output. A decoded file that is listed with digests and has none of them is
  /// refused: Error(check_failed) from write_plan, which must be asked for the digests (kinds_needed). Empty:
  /// nothing is compared.
  ReleaseFiles expected;
  /// Published contents of the base, to tell then whether the base is at fault.
  ReleaseFiles expected_base;
  Progress* progress = nullptr;
};

/// What decoding will write. Small files are decoded and checked now, large ones by their first bytes, so
/// that a base of another kind is found before anything is written. The CRC-32s of large ones are taken while
/// they are written and compared when each is finished. Throws Error(input) with the likely cause.
XorPlan plan_decode(const std::filesystem::path& payload, const std::filesystem::path& base,
                    const DecodeOptions& options);

/// What encoding the fine-tuned files in `finetuned` will write; `compression` packs every file but
/// added_tokens.json when that is copied.
XorPlan plan_encode(const std::filesystem::path& finetuned, const std::filesystem::path& base,
                    Compression compression, Progress* progress = nullptr);

}  // namespace galatea
