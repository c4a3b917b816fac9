// A file that gets its name only when it is whole: written as ".NAME.partial" beside its place, flushed,
// renamed. Destroyed before commit(), it removes what it wrote, unless that is kept for a later run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "format/error.h"
#include "format/file_stamp.h"
#include "format/locked_file.h"

namespace galatea {

class OutputFile {
 public:
  /// Takes the partial file, with what an earlier run left in it. Throws Error: usage when `path` exists and
  /// not `overwrite`, or when another run is writing it; system when it cannot be written.
  OutputFile(std::filesystem::path path, std::uint64_t size, bool overwrite);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  static std::filesystem::path partial_path_of(const std::filesystem::path& path);
  const std::filesystem::path& partial_path() const { return partial_.path(); }

  /// Bytes that an earlier run left; 0 when there was none.
  std::uint64_t left_over() const { return left_over_; }
  /// Throws away what an earlier run left.
  void clear();
  /// Reserves the whole size where the file system can, so that a full disk is found at once. Throws
  /// Error(system) naming the bytes that are missing.
  void reserve();

  /// Any number of threads may write and read at once. Throws Error(system).
  void write(std::uint64_t offset, std::span<const std::byte> bytes) const;
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  /// What was written before the call is on the disk after it.
  void flush() const;
  FileStamp stamp() const;
  /// From now on the partial file outlives this object.
  void keep() { keep_ = true; }
  /// Flushes to disk and renames into place. Throws Error(usage) when a file has come there meanwhile and is
  /// not to be replaced.
  void commit();

 private:
  Error failed(const char* action, int code, std::uint64_t missing) const;

  std::filesystem::path path_;
  LockedFile partial_;
  std::uint64_t size_;
  bool overwrite_;
  std::uint64_t left_over_;
  bool keep_ = false;
};

/// Makes a folder and its parents. Throws Error(system), or Error(usage) when a file stands in the way.
void make_folder(const std::filesystem::path& folder);

/// Makes renames and removals in a folder durable, where the file system can.
void sync_folder(const std::filesystem::path& folder);

/// The folder a file lies in; "." for a bare name.
std::filesystem::path folder_of(const std::filesystem::path& path);

/// Throws Error(system) naming the shortfall unless the file system of `folder` has `bytes` free.
void require_free_space(const std::filesystem::path& folder, std::uint64_t bytes);

/// Bytes of the disk that a file holds; 0 when there is none.
std::uint64_t allocated_bytes(const std::filesystem::path& path);

}  // namespace galatea
