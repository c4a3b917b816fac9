#include "format/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_at_once = std::size_t{1} << 30U;

Error exists_already(const fs::path& path) {
  return Error(ErrorKind::usage, "the output file exists already")
      .file(path)
      .remedy("choose another place, remove it, or give --overwrite");
}

/// `path` itself, once nothing stands there that must stay.
fs::path free_place(fs::path path, bool overwrite) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return path;
  if (S_ISDIR(status.st_mode))
    throw Error(ErrorKind::usage, "a folder stands where a file is to be written").file(path);
  if (!overwrite) throw exists_already(path);
  return path;
}

bool disk_is_full(int code) { return code == ENOSPC || code == EDQUOT; }

/// Nothing when the file system does not tell, as those without blocks (/proc) do not.
std::optional<std::uint64_t> free_bytes(const fs::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void sync_folder(const fs::path& folder) {
  // Some file systems refuse to sync a folder; nothing can be done about that.
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

fs::path OutputFile::partial_path_of(const fs::path& path) {
  return folder_of(path) / ("." + path.filename().string() + ".partial");
}

OutputFile::OutputFile(fs::path path, std::uint64_t size, bool overwrite)
    : path_(free_place(std::move(path), overwrite)),
      partial_(partial_path_of(path_), path_),
      size_(size),
      overwrite_(overwrite),
      left_over_(partial_.existed() ? partial_.size() : 0) {}

OutputFile::~OutputFile() {
  // Under the lock, so it is still this run's file.
  if (!keep_) ::unlink(partial_.path().c_str());
}

Error OutputFile::failed(const char* action, int code, std::uint64_t missing) const {
  if (!disk_is_full(code) && code != EFBIG) return system_error(path_, action, code);
  Error error(ErrorKind::system, code == ENOSPC   ? "the disk is full"
                                 : code == EDQUOT ? "the disk quota is used up"
                                                  : "the file system or a limit forbids a file of this size");
  error.file(path_).expected(std::to_string(missing) + " bytes more for this file");
  if (code == ENOSPC) {
    const std::uint64_t available = free_bytes(folder_of(path_)).value_or(0);
    error.found(std::to_string(available) + " bytes free")
        .remedy("free " + std::to_string(missing - std::min(missing, available)) +
                " bytes or more, then run the same command again");
  } else {
    error.remedy(code == EDQUOT ? "make room, then run the same command again"
                                : "write to another disk, or raise the limit (ulimit -f)");
  }
  return error;
}

void OutputFile::clear() {
  if (::ftruncate(partial_.fd(), 0) != 0) throw system_error(path_, "empty the output file", errno);
}

void OutputFile::reserve() {
  const auto bytes = static_cast<off_t>(size_);
  int code = 0;
  do {
    code = size_ > 0 && ::fallocate(partial_.fd(), 0, 0, bytes) != 0 ? errno : 0;
  } while (code == EINTR);
  if ((code == 0 || code == EOPNOTSUPP || code == ENOSYS) && ::ftruncate(partial_.fd(), bytes) == 0) return;
  if (code == 0 || code == EOPNOTSUPP || code == ENOSYS) code = errno;
  struct stat status {};
  const bool known = ::fstat(partial_.fd(), &status) == 0;
  const std::uint64_t there = known ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
  throw failed("reserve room for the output file", code, size_ - std::min(size_, there));
}

void OutputFile::write(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(partial_.fd(), bytes.data(), std::min(bytes.size(), most_at_once),
                                 static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      throw failed("write the output file", errno, size_ - std::min(size_, offset)).at(offset);
    }
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void OutputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got =
        ::pread(partial_.fd(), out.data(), std::min(out.size(), most_at_once), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error(path_, "read the unfinished output file", errno).at(offset);
    if (got == 0) {
      throw Error(ErrorKind::system, "the unfinished output file has become shorter").file(path_).at(offset);
    }
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void OutputFile::flush() const {
  if (::fdatasync(partial_.fd()) != 0) throw failed("flush the output file to disk", errno, 0);
}

FileStamp OutputFile::stamp() const { return stamp_of(partial_.path()).value_or(FileStamp{}); }

void OutputFile::commit() {
  if (::fsync(partial_.fd()) != 0) throw failed("flush the output file to disk", errno, 0);
  const unsigned int flags = overwrite_ ? 0 : RENAME_NOREPLACE;
  int code = ::renameat2(AT_FDCWD, partial_.path().c_str(), AT_FDCWD, path_.c_str(), flags) == 0 ? 0 : errno;
  if (code == EINVAL || code == ENOSYS)  // not every file system can refuse to replace
    code = ::rename(partial_.path().c_str(), path_.c_str()) == 0 ? 0 : errno;
  if (code == EEXIST) throw exists_already(path_);
  if (code != 0) throw system_error(path_, "rename the finished file", code);
  keep_ = true;
  sync_folder(folder_of(path_));
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (!code && fs::is_directory(folder, code)) return;
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw Error(ErrorKind::usage, "a file stands where the output folder is to be").file(folder);
  }
  throw Error(ErrorKind::system, "cannot make the output folder: " + code.message())
      .file(folder)
      .remedy("choose a folder that may be written");
}

void require_free_space(const fs::path& folder, std::uint64_t bytes) {
  const std::optional<std::uint64_t> available = free_bytes(folder);
  if (!available || *available >= bytes) return;
  throw Error(ErrorKind::system, "not enough free disk space")
      .file(folder)
      .expected(std::to_string(bytes) + " bytes free")
      .found(std::to_string(*available) + " bytes")
      .remedy("free " + std::to_string(bytes - *available) + " bytes or choose a folder on another disk");
}

std::uint64_t allocated_bytes(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace galatea
