// The zip container of torch.save as a file layout; torch_layout.h has its bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "format/plan.h"

namespace galatea {

/// Records are added in the order of the file; finish() puts the directory behind them.
class TorchZipWriter {
 public:
  explicit TorchZipWriter(std::string file_name);

  /// A record of bytes known now.
  void add(std::string name, std::vector<std::byte> bytes);
  /// A record of a tensor's bytes, produced when the file is written.
  void add(std::string name, Tensor data);
  /// The record FOLDER/.data/serialization_id, which follows from the records before it, whose names all begin
  /// with "FOLDER/".
  void add_serialization_id(const std::string& folder);
  FileLayout finish();

 private:
  struct Record {
    std::string name;
    std::uint64_t offset = 0, size = 0;
    std::uint32_t crc = 0;      ///< of literal bytes
    std::size_t tensor = none;  ///< number in the layout
    /// Bytes that follow from the CRC-32s of the tensors before; empty for other records.
    std::function<std::vector<std::byte>(std::span<const std::uint32_t> crcs)> late{};
    bool zip64() const;
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  void begin(Record& record);
  void end(Record record);
  static std::vector<std::byte> descriptor(const Record& record, std::uint32_t crc);
  static std::vector<std::byte> directory(const std::vector<Record>& records,
                                          std::span<const std::uint32_t> crcs);
  static std::uint32_t crc_of(const Record& record, std::span<const std::uint32_t> crcs);

  FileLayout layout_;
  std::vector<Record> records_;
  std::uint64_t size_ = 0;
};

}  // namespace galatea
