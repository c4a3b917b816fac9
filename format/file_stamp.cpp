#include "format/file_stamp.h"

#include <sys/stat.h>

#include <map>
#include <mutex>

namespace galatea {
namespace {

namespace fs = std::filesystem;

struct Opened {
  FileStamp stamp;
  std::uint64_t sources = 0;
};

struct OpenedFiles {
  std::mutex mutex;
  std::map<fs::path, Opened> files;
};

// Never destroyed: sources may outlive the objects of static storage.
OpenedFiles& opened_files() {
  static auto* const opened = new OpenedFiles;
  return *opened;
}

/// The same name from wherever it is reached.
fs::path full_path(const fs::path& path) {
  std::error_code failure;
  fs::path full = fs::weakly_canonical(path, failure);
  return failure ? path : full;
}

}  // namespace

FileStamp stamp_of(const struct stat& status) {
  const auto changed =
      static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
  return {static_cast<std::uint64_t>(status.st_size), changed};
}

std::optional<FileStamp> stamp_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return stamp_of(status);
}

std::optional<FileStamp> stamp_when_opened(const fs::path& path) {
  const fs::path full = full_path(path);
  OpenedFiles& opened = opened_files();
  const std::lock_guard lock(opened.mutex);
  const auto found = opened.files.find(full);
  return found != opened.files.end() ? found->second.stamp : stamp_of(path);
}

OpenedStamp::OpenedStamp(const fs::path& path, const struct stat& status) : path_(full_path(path)) {
  OpenedFiles& opened = opened_files();
  const std::lock_guard lock(opened.mutex);
  ++opened.files.try_emplace(path_, Opened{stamp_of(status), 0}).first->second.sources;
}

OpenedStamp::~OpenedStamp() {
  OpenedFiles& opened = opened_files();
  const std::lock_guard lock(opened.mutex);
  const auto found = opened.files.find(path_);
  if (--found->second.sources == 0) opened.files.erase(found);
}

}  // namespace galatea
