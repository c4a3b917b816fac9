// The bytes of a text file one after another: plain, gzip (one member or more), zstd, or one file of a zip archive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/source.h"

namespace galatea {

class UnpackedText {
 public:
  /// `member` is the file wanted of a zip archive. Throws Error(input) naming what to do for xz, bzip2, parquet.
  UnpackedText(SourcePtr source, std::string_view member);
  ~UnpackedText();

  const std::filesystem::path& name() const { return name_; }

  /// The next byte without taking it, -1 at the end. Throws Error(input) when the packing is damaged.
  int peek() {
    if (at_ == filled_ && !fill()) return -1;
    return static_cast<unsigned char>(unpacked_[at_]);
  }
  /// What can be taken without reading more; not empty after peek() gave a byte.
  std::string_view ready() const { return {unpacked_.data() + at_, filled_ - at_}; }
  void skip(std::size_t count = 1) { at_ += count; }

  /// All that is left. Throws Error(input) when it is more than `limit` bytes.
  std::string rest(std::uint64_t limit);

 private:
  class Unpacker;
  class Plain;
  class Inflate;
  class Zstd;

  bool fill();

  std::filesystem::path name_;
  std::unique_ptr<Unpacker> unpacker_;
  std::vector<char> unpacked_;
  std::size_t at_ = 0, filled_ = 0;
};

}  // namespace galatea
