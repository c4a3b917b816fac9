// What a file or folder is, when nobody says what it should be: its contents looked up among the known
// releases.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "verify/compare.h"

namespace galatea {

struct Recognition {
  /// ok: published (detail says where); known_bad; not_listed: not known. Sorted by name.
  std::vector<FileCheck> files;
  /// The release at least half of whose files are here under their own names, empty when there is none.
  std::string release;
  std::size_t matching = 0;  ///< files of that release among them
  std::size_t listed = 0;    ///< files that the release has
  HashWork work{};           ///< of reading the files
};

/// MD5 and SHA-256 of a file, or of the regular files directly in a folder (hidden ones left out), each
/// looked up. Throws Error(input) when `path` is missing or a folder without files.
Recognition recognise(const std::filesystem::path& path, Progress& progress = silent_progress(),
                      int threads = 0);

}  // namespace galatea
