// A file without a name for what is computed before the output can be laid out: it vanishes with the program,
// however that ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "format/rows.h"

namespace galatea {

class ScratchFile : public std::enable_shared_from_this<ScratchFile> {
 public:
  /// On the file system of `folder`, which exists. Throws Error(system).
  static std::shared_ptr<ScratchFile> make(const std::filesystem::path& folder);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  /// Any number of threads may write and read at once. Throws Error(system).
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void read(std::uint64_t offset, std::span<std::byte> out) const;

  /// Rows of float32 from byte `offset` on; they keep the file.
  RowsPtr rows(std::uint64_t offset, std::uint64_t rows, std::uint64_t cols) const;

 private:
  ScratchFile(int descriptor, std::filesystem::path folder);

  int descriptor_;
  std::filesystem::path folder_;
};

}  // namespace galatea
