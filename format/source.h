// Where bytes come from: a read-only, random-access run of bytes of known length.
//
// A file, a part of one, bytes in memory, a decoded stream: every reader of a format takes a ByteSource,
// so the same parser serves files, tests and fuzzers. Files are read with pread into the caller's buffer,
// never mapped: memory stays bounded by the buffers, and a file truncated while it is read is an Error and
// not a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace galatea {

/// Any number of threads may call read() at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Bytes in the source; never changes.
  virtual std::uint64_t size() const = 0;
  /// The name that error messages give, usually the path.
  virtual const std::filesystem::path& name() const = 0;
  /// Fills `out` with the bytes [offset, offset + out.size()). Throws Error: input when the range is not
  /// within size() or the file has become shorter, system when the read fails.
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
  /// Physical file and offset of this source's first byte, for listings; offset 0 of itself by default.
  virtual std::uint64_t origin() const { return 0; }

  /// The bytes [offset, offset + length) as a vector; the range is checked before memory is taken.
  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t length) const;
  /// The whole source as text. Throws Error(input) when it is longer than `limit` bytes.
  std::string read_text(std::uint64_t limit) const;

 protected:
  /// Throws Error(input) unless [offset, offset + length) lies within the source.
  void check_range(std::uint64_t offset, std::uint64_t length) const;
};

using SourcePtr = std::shared_ptr<const ByteSource>;

/// Opens a regular file. Throws Error(input) when it is missing, a folder or no regular file.
SourcePtr open_file(const std::filesystem::path& path);

/// Bytes in memory under a name for messages.
SourcePtr memory_source(std::vector<std::byte> bytes, const std::filesystem::path& name);
SourcePtr memory_source(std::string_view bytes, const std::filesystem::path& name);

/// The part [offset, offset + length) of `whole`, with whole's name. Throws Error(input) when out of range.
SourcePtr part_of(SourcePtr whole, std::uint64_t offset, std::uint64_t length);

/// Reads a small text file (JSON, checklists) whole; `limit` guards against a huge one.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit = 64U << 20U);

}  // namespace galatea
