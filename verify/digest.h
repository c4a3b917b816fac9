// Digests of files: one pass a file whatever the number of algorithms, several files at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/hash.h"
#include "format/progress.h"
#include "format/source.h"
#include "verify/hash_work.h"

namespace galatea {

/// Digests of the same bytes, lower-case hex.
using Digests = std::map<HashKind, std::string>;

/// The algorithm whose digests have so many hex digits: 32 MD5, 40 SHA-1, 64 SHA-256, 128 SHA-512.
std::optional<HashKind> hash_kind_of_length(std::size_t hex_digits);

/// By name as tools spell it, in any case, with or without hyphens: "SHA256", "sha-1", "md5", "SHA2-256".
std::optional<HashKind> find_hash_kind(std::string_view name);

/// True when `text` is not empty and all of it is hex digits, in any case.
bool is_hex(std::string_view text);
/// ASCII letters in lower case.
std::string lower_case(std::string_view text);

/// The digests of all bytes of `source`, in one pass with two buffers of 1 MiB; calls progress.advance only.
Digests digest_source(const ByteSource& source, std::span<const HashKind> kinds,
                      Progress& progress = silent_progress());

struct DigestRequest {
  std::filesystem::path path;
  std::vector<HashKind> kinds;  ///< none: the file is only opened
};

/// The digests of each file, in the order of the requests. Files are read by `threads` threads (0: as many as
/// OpenMP would take), each by one, the largest first; where large files are left over that would leave threads
/// idle, those come last and are hashed by several: one for each algorithm and one that reads ahead. Throws the
/// error of the first request that fails. `work`, if given, tells how long it took and why.
std::vector<Digests> digest_files(std::span<const DigestRequest> requests,
                                  Progress& progress = silent_progress(), int threads = 0,
                                  HashWork* work = nullptr);

}  // namespace galatea
