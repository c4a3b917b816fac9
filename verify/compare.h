// Files against a list of digests: each is ok, an alternate, known to be bad, different, missing, or more
// than was asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "format/plan.h"
#include "format/progress.h"
#include "verify/manifest.h"
#include "verify/releases.h"

namespace galatea {

enum class FileStatus {
  ok,          ///< the published content
  alternate,   ///< another published content of the same file
  known_bad,   ///< a content that is known to be wrong, and why
  mismatch,    ///< something else
  missing,     ///< listed, but not there
  extra,       ///< there, but not listed
  not_listed,  ///< listed without a digest: nothing to compare with
};
std::string_view to_string(FileStatus status);

struct FileCheck {
  std::string name;
  FileStatus status = FileStatus::mismatch;
  std::uint64_t size = 0;
  Digests digests;       ///< as found; of the algorithms that the list needed
  std::string expected;  ///< "SHA256 be2c27..." of a file that is not as it should be
  std::string found;     ///< "SHA256 85467..." of what is there, of the same algorithm where one is expected
  std::string detail;    ///< which alternate, what a bad content means, what it is instead; may be empty
  std::string remedy;    ///< what to do; may be empty
  bool pointer = false;  ///< a Git LFS pointer in place of the file (recognise)
  bool failed = false;   ///< known_bad, mismatch, and missing unless the list calls the file optional
};

struct CheckReport {
  std::vector<FileCheck> files;  ///< in the order of the list, extras last
  HashWork work{};               ///< of reading them; none when the digests were taken while writing
  std::size_t count(FileStatus status) const;
  /// No file failed, and at least one was compared and is right.
  bool passed() const;
};

/// The list of a manifest in the form of a release's; several digests of a name must all hold.
ReleaseFiles release_files(const Manifest& manifest);

/// The algorithms needed to tell whether a content is one of the file's variants: of each, the strongest.
std::vector<HashKind> kinds_needed(const ReleaseFile& file);

/// The judgement on one content by its size and digests (of kinds_needed at least). `bytes` is the whole of a
/// small file, for explain_damage; may be empty.
FileCheck judge_content(const ReleaseFile& file, std::uint64_t size, Digests digests,
                        std::string_view bytes = {});

struct CheckOptions {
  bool every_digest = false;  ///< compute and compare all digests of a variant, not only its strongest
  Progress* progress = nullptr;
  int threads = 0;  ///< 0: as many as OpenMP would take
};

/// Checks a folder against a list, or a single file against the entry of its name (or, when there is none,
/// of its content). Reads each file once. Throws Error(input) when `path` is missing or cannot be read.
CheckReport check_files(const std::filesystem::path& path, const ReleaseFiles& list,
                        const CheckOptions& options = {});

/// The same judgement on files whose digests were taken while they were written into `folder`. Entries of the
/// list that were not written are missing.
CheckReport check_written(const std::filesystem::path& folder, const std::vector<WrittenFile>& written,
                          const ReleaseFiles& list);

/// What a small damaged file once was: each way of damage that, undone, gives one of the file's variants,
/// said in a sentence: line ends turned into CR LF, a line end added or lost, a Git LFS pointer instead of
/// the file. Empty when none does. `bytes` is the whole file.
std::string explain_damage(std::string_view bytes, const ReleaseFile& file);

}  // namespace galatea
