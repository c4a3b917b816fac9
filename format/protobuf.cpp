#include "format/protobuf.h"

#include <bit>
#include <cstring>
#include <string>

#include "format/error.h"

namespace galatea {

ProtobufReader::ProtobufReader(std::string_view message, const std::filesystem::path& file,
                               std::uint64_t start)
    : text_(message), file_(&file), start_(start) {}

void ProtobufReader::damaged(const char* problem, std::uint64_t position) const {
  throw Error(ErrorKind::input, std::string("not a well-formed protocol buffer: ") + problem)
      .file(*file_)
      .at(start_ + position);
}

std::uint64_t ProtobufReader::take_varint() {
  const std::size_t first = position_;
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (position_ == text_.size()) damaged("a number ends past the end of its message", first);
    const auto byte = static_cast<unsigned char>(text_[position_++]);
    if (shift == 63 && byte > 1) damaged("a number does not fit in 64 bits", first);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  damaged("a number does not fit in 64 bits", first);
}

bool ProtobufReader::next() {
  if (position_ == text_.size()) return false;
  const std::size_t first = position_;
  const std::uint64_t key = take_varint();
  if (key >> 32U != 0 || key >> 3U == 0) damaged("a field number is out of range", first);
  number_ = static_cast<std::uint32_t>(key >> 3U);
  wire_type_ = static_cast<unsigned>(key & 7U);
  std::uint64_t length = 0;
  switch (wire_type_) {
    case 0:
      value_position_ = start_ + position_;
      scalar_ = take_varint();
      return true;
    case 1:
      length = 8;
      break;
    case 2:
      length = take_varint();
      break;
    case 5:
      length = 4;
      break;
    default:
      damaged("a field has a wire type that is not in use", first);
  }
  if (length > text_.size() - position_) damaged("a field ends past the end of its message", first);
  bytes_ = text_.substr(position_, static_cast<std::size_t>(length));
  value_position_ = start_ + position_;
  position_ += static_cast<std::size_t>(length);
  return true;
}

void ProtobufReader::need_wire_type(unsigned wire_type) const {
  if (wire_type_ != wire_type)
    damaged("a field has another wire type than its meaning needs", value_position_ - start_);
}

std::uint64_t ProtobufReader::varint() const {
  need_wire_type(0);
  return scalar_;
}

float ProtobufReader::float32() const {
  need_wire_type(5);
  std::uint32_t bits = 0;
  std::memcpy(&bits, bytes_.data(), sizeof bits);
  return std::bit_cast<float>(bits);
}

std::string_view ProtobufReader::bytes() const {
  need_wire_type(2);
  return bytes_;
}

ProtobufReader ProtobufReader::message() const { return {bytes(), *file_, value_position_}; }

}  // namespace galatea
