// Lists of digests as the usual tools write them, one file a line:
//
//   <hex>  NAME                 md5sum, sha1sum, sha256sum in text mode, rhash, Meta's checklist.chk
//   <hex> *NAME                 the same in binary mode
//   \<hex>  NA\\ME              the same with \\ (and \n, \r) escaped in the name
//   SHA256 (NAME) = <hex>       BSD tags, also of md5sum --tag and rhash --bsd
//   SHA2-256(NAME)= <hex>       openssl dgst
//   NAME <hex>                  like SFV
//   # ... or ; ...              comment; empty lines are skipped
//
// The algorithm follows from the number of hex digits (32 MD5, 40 SHA-1, 64 SHA-256,
// 128 SHA-512). Names are relative to
// the folder that is checked. Lines may end in CR LF. Lists written by Windows (a byte-order mark) are read
// too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/digest.h"

namespace galatea {

struct ManifestEntry {
  std::string name;  ///< relative, without "." and ".." and control characters
  HashKind kind = HashKind::sha256;
  std::string digest;                   ///< lower-case hex
  std::size_t line = 0;                 ///< 1-based, 0 when not read from a file
  std::optional<std::uint64_t> size{};  ///< where the list says it (Git LFS pointers)
  bool optional = false;                ///< a folder without the file is whole
};

struct Manifest {
  std::filesystem::path source;
  std::vector<ManifestEntry> entries;  ///< in file order; a name may occur once for each algorithm
  std::vector<std::string> notes;      ///< what was tolerated: CR LF, repeated lines
};

/// Throws Error(input) with the line number when a line is none of the forms above, is longer than 8,192
/// bytes, names a file outside of the folder (absolute, ".."), has control characters, or contradicts an
/// earlier line; and when there is no entry at all. `source` names the list in messages.
Manifest parse_manifest(std::string_view text, const std::filesystem::path& source);

/// Reads at most 64 MiB.
Manifest read_manifest(const std::filesystem::path& path);

enum class ManifestForm { gnu, bsd };

/// The list as sha256sum and its siblings write it (names with a backslash escaped), or as BSD tags. One line
/// per entry, LF. Throws Error(input) on a name that a list must not carry.
std::string write_manifest(std::span<const ManifestEntry> entries, ManifestForm form);

/// Throws Error(input) unless `name` is a relative path that stays inside its folder, without control
/// characters and at most 4,096 bytes. Returns it without "./" and doubled slashes.
std::string checked_relative_name(std::string_view name);

}  // namespace galatea
