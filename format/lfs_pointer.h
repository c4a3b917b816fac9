// Git LFS pointer files: what a repository (Hugging Face's too) holds in place of a large file.
//
//   version https://git-lfs.github.com/spec/v1
//   oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
//   size 12345
//
// Lines end in LF (CR LF is read too); "ext-N-..." lines may stand between, other keys are allowed after the
// version. Shorter than 1,024 bytes. Source: docs/spec.md of git-lfs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/source.h"

namespace galatea {

struct LfsPointer {
  std::string sha256;  ///< lower-case hex
  std::uint64_t size = 0;
};

/// Nothing when `text`, a whole file, is no pointer or a damaged one.
std::optional<LfsPointer> parse_lfs_pointer(std::string_view text);
/// The same of a file; reads at most 1,023 bytes.
std::optional<LfsPointer> read_lfs_pointer(const ByteSource& source);

}  // namespace galatea
