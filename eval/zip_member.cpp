#include "eval/zip_member.h"

#include <algorithm>
#include <span>
#include <vector>

#include "format/error.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

constexpr std::size_t end_bytes = 22;
constexpr std::size_t longest_comment = 65535;
constexpr std::size_t directory_head = 46;
constexpr std::size_t local_head = 30;
constexpr std::uint32_t end_magic = 0x06054B50;
constexpr std::uint32_t directory_magic = 0x02014B50;
constexpr std::uint32_t local_magic = 0x04034B50;
constexpr std::uint64_t largest_directory = std::uint64_t{64} << 20U;

[[noreturn]] void damaged(const ByteSource& archive, const char* what) {
  throw Error(ErrorKind::input, std::string("the zip archive is damaged: ") + what)
      .file(archive.name())
      .remedy("download it again");
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The bytes of the central directory.
std::vector<std::byte> directory_of(const ByteSource& archive) {
  const std::uint64_t length = std::min<std::uint64_t>(archive.size(), end_bytes + longest_comment);
  const std::vector<std::byte> tail = archive.read(archive.size() - length, length);
  for (std::size_t at = tail.size() < end_bytes ? 0 : tail.size() - end_bytes + 1; at-- > 0;) {
    const LittleEndian end(std::span<const std::byte>(tail).subspan(at));
    if (end.u32(0) != end_magic || at + end_bytes + end.u16(20) != tail.size()) continue;
    const std::uint64_t size = end.u32(12);
    const std::uint64_t offset = end.u32(16);
    if (size > largest_directory || offset + size > archive.size())
      damaged(archive, "no directory where it says");
    return archive.read(offset, size);
  }
  damaged(archive, "it has no end");
}

bool is_wanted(std::string_view name, std::string_view wanted) {
  if (wanted.empty()) return !name.ends_with('/');
  return name == wanted || name.ends_with("/" + std::string(wanted));
}

}  // namespace

ZipMember find_zip_member(const SourcePtr& archive, std::string_view wanted) {
  const std::vector<std::byte> directory = directory_of(*archive);
  ZipMember out;
  std::string names;
  std::size_t matches = 0;
  std::uint64_t header = 0;
  std::uint64_t stored = 0;
  for (std::size_t at = 0; at + directory_head <= directory.size();) {
    const LittleEndian entry(std::span<const std::byte>(directory).subspan(at));
    const std::size_t name_length = entry.u16(28);
    const std::size_t length = directory_head + name_length + entry.u16(30) + entry.u16(32);
    if (entry.u32(0) != directory_magic || length > directory.size() - at) damaged(*archive, "its directory");
    const std::string name = text_of(std::span(directory).subspan(at + directory_head, name_length));
    at += length;
    if (names.size() < 400) names += (names.empty() ? "" : ", ") + printable(name, 80);
    if (!is_wanted(name, wanted)) continue;
    ++matches;
    const std::uint16_t method = entry.u16(10);
    if ((method != 0 && method != 8) || (entry.u16(8) & 1U) != 0) {
      throw Error(ErrorKind::input, "the file inside the zip archive is packed in a way that is not read")
          .file(archive->name())
          .found(printable(name))
          .remedy("unpack the archive and give the file inside");
    }
    out.name = name;
    out.deflated = method == 8;
    out.crc = entry.u32(16);
    stored = entry.u32(20);
    out.size = entry.u32(24);
    header = entry.u32(42);
  }
  if (matches != 1) {
    throw Error(ErrorKind::input, "the zip archive does not hold the text")
        .file(archive->name())
        .expected(wanted.empty() ? "one file" : "one file " + std::string(wanted))
        .found(names)
        .remedy("unpack the archive and give the file inside");
  }
  const std::vector<std::byte> head = archive->read(header, local_head);
  const LittleEndian local(head);
  if (local.u32(0) != local_magic) damaged(*archive, "no file where its directory says");
  out.data = part_of(archive, header + local_head + local.u16(26) + local.u16(28), stored);
  if (!out.deflated && stored != out.size) damaged(*archive, "a stored file of two sizes");
  return out;
}

}  // namespace galatea
