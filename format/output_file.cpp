#include "format/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Makes a rename durable. Some file systems refuse to sync a folder; nothing can be done about that.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

OutputFile::OutputFile(fs::path path, std::uint64_t size, bool overwrite) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode))
      throw Error(ErrorKind::usage, "a folder stands where a file is to be written").file(path_);
    if (!overwrite) {
      throw Error(ErrorKind::usage, "the output file exists already")
          .file(path_)
          .remedy("choose another place, remove it, or give --overwrite");
    }
  }
  partial_ = folder_of(path_) / ("." + path_.filename().string() + ".partial");
  // A leftover of a killed run is of no use to this one; unlinking first also keeps a planted link from being
  // followed.
  ::unlink(partial_.c_str());
  fd_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    Error error = system_error(partial_, "create the output file", errno);
    throw Error(ErrorKind::system, error.problem())
        .file(path_)
        .remedy("check that the folder exists and may be written");
  }
  int failure = 0;
  if (size > 0 && ::fallocate(fd_, 0, 0, static_cast<off_t>(size)) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS) {
    failure = errno;
  } else if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    failure = errno;
  }
  if (failure != 0) {
    ::close(fd_);
    ::unlink(partial_.c_str());
    throw system_error(path_, "reserve " + std::to_string(size) + " bytes for the output file", failure);
  }
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void OutputFile::write(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    constexpr std::size_t most = std::size_t{1} << 30U;
    const ssize_t put = ::pwrite(fd_, bytes.data(), std::min(bytes.size(), most), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      throw system_error(path_, "write the output file", errno).at(offset);
    }
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void OutputFile::commit() {
  if (::fsync(fd_) != 0) throw system_error(path_, "flush the output file to disk", errno);
  if (::rename(partial_.c_str(), path_.c_str()) != 0)
    throw system_error(path_, "rename the finished file", errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) throw system_error(path_, "close the output file", errno);
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
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return;
  const std::uint64_t available = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  if (available >= bytes) return;
  throw Error(ErrorKind::system, "not enough free disk space")
      .file(folder)
      .expected(std::to_string(bytes) + " bytes free")
      .found(std::to_string(available) + " bytes")
      .remedy("free " + std::to_string(bytes - available) + " bytes or choose a folder on another disk");
}

}  // namespace galatea
