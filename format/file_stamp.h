// What a file is known by without reading it, now and when it was opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

struct stat;

namespace galatea {

/// Size and time of change (nanoseconds since 1970).
struct FileStamp {
  std::uint64_t size = 0;
  std::int64_t changed = 0;
  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const struct stat& status);

/// Of a regular file, or of what a link to one leads to; nothing when there is none.
std::optional<FileStamp> stamp_of(const std::filesystem::path& path);

/// The stamp that the file had when it was opened by the source that has it open the longest; stamp_of() when none has.
/// A file that changes after that is a mixture for whoever goes on reading.
std::optional<FileStamp> stamp_when_opened(const std::filesystem::path& path);

/// Held by a source for as long as it has the file open.
class OpenedStamp {
 public:
  OpenedStamp(const std::filesystem::path& path, const struct stat& status);
  OpenedStamp(const OpenedStamp&) = delete;
  OpenedStamp& operator=(const OpenedStamp&) = delete;
  ~OpenedStamp();

 private:
  std::filesystem::path path_;
};

}  // namespace galatea
