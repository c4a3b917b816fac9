#include "format/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "format/error.h"
#include "format/file_stamp.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

class FileSource final : public ByteSource {
 public:
  explicit FileSource(const fs::path& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw system_error(path, "open file for reading", errno);
    struct stat status {};
    if (::fstat(fd_, &status) != 0) {
      const int code = errno;
      ::close(fd_);
      throw system_error(path, "read file status", code);
    }
    if (!S_ISREG(status.st_mode)) {
      ::close(fd_);
      throw Error(ErrorKind::input,
                  S_ISDIR(status.st_mode) ? "is a folder, not a file" : "is not a regular file")
          .file(path);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
    try {
      stamp_.emplace(path, status);
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override { ::close(fd_); }

  std::uint64_t size() const override { return size_; }
  const fs::path& name() const override { return path_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    while (!out.empty()) {
      constexpr std::size_t most = std::size_t{1} << 30U;
      const ssize_t got = ::pread(fd_, out.data(), std::min(out.size(), most), static_cast<off_t>(offset));
      if (got < 0) {
        if (errno == EINTR) continue;
        throw system_error(path_, "read file", errno).at(offset);
      }
      if (got == 0) {
        throw Error(ErrorKind::input, "the file became shorter while it was read")
            .file(path_)
            .at(offset)
            .expected(std::to_string(size_) + " bytes")
            .remedy("let nothing write to the input while galatea runs");
      }
      offset += static_cast<std::uint64_t>(got);
      out = out.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  fs::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::optional<OpenedStamp> stamp_;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::vector<std::byte> bytes, fs::path name)
      : bytes_(std::move(bytes)), name_(std::move(name)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  const fs::path& name() const override { return name_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }

 private:
  std::vector<std::byte> bytes_;
  fs::path name_;
};

class PartSource final : public ByteSource {
 public:
  PartSource(SourcePtr whole, std::uint64_t offset, std::uint64_t length)
      : whole_(std::move(whole)), offset_(offset), length_(length) {}
  std::uint64_t size() const override { return length_; }
  const fs::path& name() const override { return whole_->name(); }
  std::uint64_t origin() const override { return whole_->origin() + offset_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    whole_->read(offset_ + offset, out);
  }

 private:
  SourcePtr whole_;
  std::uint64_t offset_, length_;
};

}  // namespace

void ByteSource::check_range(std::uint64_t offset, std::uint64_t length) const {
  if (offset > size() || length > size() - offset) {
    throw Error(ErrorKind::input, "the file ends too early")
        .file(name())
        .at(origin() + offset)
        .expected(std::to_string(length) + " bytes from there")
        .found(std::to_string(offset > size() ? 0 : size() - offset) + " bytes")
        .remedy("the file is truncated or damaged: compare its size and digest, and fetch it again");
  }
}

std::vector<std::byte> ByteSource::read(std::uint64_t offset, std::uint64_t length) const {
  check_range(offset, length);
  std::vector<std::byte> out(static_cast<std::size_t>(length));
  read(offset, std::span<std::byte>(out));
  return out;
}

std::string ByteSource::read_text(std::uint64_t limit) const {
  if (size() > limit) {
    throw Error(ErrorKind::input, "file is too large for what it should be")
        .file(name())
        .expected("at most " + std::to_string(limit) + " bytes")
        .found(std::to_string(size()) + " bytes");
  }
  std::string out(static_cast<std::size_t>(size()), '\0');
  read(0, std::as_writable_bytes(std::span<char>(out)));
  return out;
}

SourcePtr open_file(const fs::path& path) { return std::make_shared<FileSource>(path); }

SourcePtr memory_source(std::vector<std::byte> bytes, const fs::path& name) {
  return std::make_shared<MemorySource>(std::move(bytes), name);
}

SourcePtr memory_source(std::string_view bytes, const fs::path& name) {
  const auto view = std::as_bytes(std::span<const char>(bytes.data(), bytes.size()));
  return memory_source(std::vector<std::byte>(view.begin(), view.end()), name);
}

SourcePtr part_of(SourcePtr whole, std::uint64_t offset, std::uint64_t length) {
  if (offset > whole->size() || length > whole->size() - offset) {
    throw Error(ErrorKind::input, "a part lies outside of its file")
        .file(whole->name())
        .at(whole->origin() + offset)
        .expected(std::to_string(length) + " bytes from there")
        .found("a file of " + std::to_string(whole->size()) + " bytes")
        .remedy("the file is truncated or damaged: compare its size and digest, and fetch it again");
  }
  return std::make_shared<PartSource>(std::move(whole), offset, length);
}

std::string read_text_file(const fs::path& path, std::uint64_t limit) {
  return open_file(path)->read_text(limit);
}

}  // namespace galatea
