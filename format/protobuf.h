// Walks the fields of one protocol-buffer message in memory, without a schema.
//
//   field       varint key = number << 3 | wire type, then by wire type
//     type 0    varint (at most 10 bytes)
//     type 1    eight bytes
//     type 2    varint length, then that many bytes
//     type 5    four bytes
//
// Groups (wire types 3 and 4) are refused: nothing that galatea reads has them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace galatea {

class ProtobufReader {
 public:
  /// `message` must outlive the reader; `file` and `start`, the byte of the file where the message begins,
  /// are for messages of errors.
  ProtobufReader(std::string_view message, const std::filesystem::path& file, std::uint64_t start = 0);

  /// Moves to the next field; false at the end. Throws Error(input) when the message is damaged.
  bool next();

  std::uint32_t number() const { return number_; }
  /// Byte of the file where the field's value begins.
  std::uint64_t position() const { return value_position_; }

  // The value, each throwing Error(input) when the field has another wire type.
  std::uint64_t varint() const;
  std::int32_t int32() const { return static_cast<std::int32_t>(varint()); }
  bool boolean() const { return varint() != 0; }
  float float32() const;
  std::string_view bytes() const;
  ProtobufReader message() const;

 private:
  [[noreturn]] void damaged(const char* problem, std::uint64_t position) const;
  std::uint64_t take_varint();
  void need_wire_type(unsigned wire_type) const;

  std::string_view text_;
  const std::filesystem::path* file_;
  std::uint64_t start_;
  std::size_t position_ = 0;
  std::uint32_t number_ = 0;
  unsigned wire_type_ = 0;
  std::uint64_t scalar_ = 0;
  std::string_view bytes_;
  std::uint64_t value_position_ = 0;
};

}  // namespace galatea
