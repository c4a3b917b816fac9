#include "format/locked_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

Error cannot_open(const fs::path& path, const fs::path& output, int code) {
  return Error(ErrorKind::system, system_error(path, "create the output file", code).problem())
      .file(output)
      .remedy("check that the folder exists and may be written");
}

/// A file system that knows no locks goes without.
void lock(int fd, const fs::path& output) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return;
    throw Error(ErrorKind::usage, "another run is writing there")
        .file(output)
        .remedy("wait until it has ended, or choose another place");
  }
}

}  // namespace

LockedFile::LockedFile(fs::path path, const fs::path& output) : path_(std::move(path)) {
  constexpr int most_attempts = 100;
  try {
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
      if (open_existing(output) || create(output)) return;
    }
  } catch (...) {
    close();
    throw;
  }
  throw Error(ErrorKind::usage, "other runs are writing there").file(output).remedy("wait until they end");
}

LockedFile::~LockedFile() { close(); }

bool LockedFile::open_existing(const fs::path& output) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return false;
  if (S_ISREG(status.st_mode)) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd_ < 0 && errno == ENOENT) return false;
  }
  if (fd_ >= 0) {
    lock(fd_, output);
    const bool ours = ::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink <= 1 &&
                      status.st_uid == ::geteuid();
    existed_ = still_named() && ours;
    if (existed_) return true;
    const bool named = still_named();
    close();
    if (!named) return false;
  }
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) throw cannot_open(path_, output, errno);
  return false;
}

bool LockedFile::create(const fs::path& output) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    if (errno == EEXIST) return false;
    throw cannot_open(path_, output, errno);
  }
  lock(fd_, output);
  if (still_named()) return true;
  close();
  return false;
}

bool LockedFile::still_named() const {
  struct stat open {
  }, named{};
  return ::fstat(fd_, &open) == 0 && ::lstat(path_.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

void LockedFile::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::uint64_t LockedFile::size() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) throw system_error(path_, "examine the file", errno);
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace galatea
