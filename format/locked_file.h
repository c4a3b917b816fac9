// A file that one process works on: opened for reading and writing under an advisory lock, so that two runs
// into the same place cannot mix their bytes.
#pragma once

#include <cstdint>
#include <filesystem>

namespace galatea {

/// An open file whose lock ends with it.
class LockedFile {
 public:
  /// Opens `path`, made if missing. What stands there is taken over only when it is a regular file of ours
  /// with no other name; anything else (a planted link, say) is removed first and never followed. Throws
  /// Error(usage) when another run holds it, Error(system) when it cannot be opened. `output` is the file
  /// that messages name.
  LockedFile(std::filesystem::path path, const std::filesystem::path& output);
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;
  ~LockedFile();

  int fd() const { return fd_; }
  const std::filesystem::path& path() const { return path_; }
  /// False when the file was made just now.
  bool existed() const { return existed_; }
  std::uint64_t size() const;

 private:
  bool open_existing(const std::filesystem::path& output);
  bool create(const std::filesystem::path& output);
  /// True when `path_` still names what is open; another run may have renamed or removed it meanwhile.
  bool still_named() const;
  void close();

  std::filesystem::path path_;
  int fd_ = -1;
  bool existed_ = false;
};

}  // namespace galatea
