// A file that gets its name only when it is whole: written as ".NAME.partial" beside its place, flushed,
// renamed. Destroyed before commit(), it removes what it wrote.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace galatea {

class OutputFile {
 public:
  /// Opens the partial file and reserves `size` bytes where the file system can, so that a full disk is found
  /// at once. Throws Error: usage when `path` exists and not `overwrite`, system when it cannot be written.
  OutputFile(std::filesystem::path path, std::uint64_t size, bool overwrite);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// Any number of threads may write at once.
  void write(std::uint64_t offset, std::span<const std::byte> bytes) const;
  const std::filesystem::path& partial_path() const { return partial_; }
  /// Flushes to disk and renames into place.
  void commit();

 private:
  std::filesystem::path path_, partial_;
  int fd_ = -1;
};

/// Makes a folder and its parents. Throws Error(system), or Error(usage) when a file stands in the way.
void make_folder(const std::filesystem::path& folder);

/// Throws Error(system) naming the shortfall unless the file system of `folder` has `bytes` free.
void require_free_space(const std::filesystem::path& folder, std::uint64_t bytes);

}  // namespace galatea
