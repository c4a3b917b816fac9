#include "converter/scratch_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

class ScratchRows final : public Rows {
 public:
  ScratchRows(std::shared_ptr<const ScratchFile> file, std::uint64_t offset, std::uint64_t rows,
              std::uint64_t cols)
      : Rows(DType::f32, rows, cols), file_(std::move(file)), offset_(offset) {}
  void read(std::uint64_t first, std::uint64_t /*count*/, std::span<std::byte> out) const override {
    file_->read(offset_ + first * row_bytes(), out);
  }

 private:
  std::shared_ptr<const ScratchFile> file_;
  std::uint64_t offset_;
};

}  // namespace

ScratchFile::ScratchFile(int descriptor, std::filesystem::path folder)
    : descriptor_(descriptor), folder_(std::move(folder)) {}

ScratchFile::~ScratchFile() { ::close(descriptor_); }

std::shared_ptr<ScratchFile> ScratchFile::make(const std::filesystem::path& folder) {
  constexpr mode_t mine = 0600;
  int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mine);
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {  // file systems without nameless files
    std::string name = (folder / ".galatea-scratch-XXXXXX").string();
    descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor >= 0) ::unlink(name.c_str());
  }
  if (descriptor < 0) throw system_error(folder, "make a file in", errno);
  return std::shared_ptr<ScratchFile>(new ScratchFile(descriptor, folder));
}

void ScratchFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw system_error(folder_, "write what is computed to", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void ScratchFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw system_error(folder_, "read what was computed from", count == 0 ? EIO : errno);
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

RowsPtr ScratchFile::rows(std::uint64_t offset, std::uint64_t rows, std::uint64_t cols) const {
  return std::make_shared<ScratchRows>(shared_from_this(), offset, rows, cols);
}

}  // namespace galatea
