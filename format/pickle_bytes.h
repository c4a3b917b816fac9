// Walking over the bytes of a pickle.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "format/error.h"
#include "format/little_endian.h"
#include "format/pickle_opcodes.h"

namespace galatea {

/// Every read is checked; every fault names the byte of the last opcode.
class PickleBytes {
 public:
  PickleBytes(std::span<const std::byte> bytes, const std::filesystem::path& file, std::uint64_t origin)
      : bytes_(bytes), file_(file), origin_(origin) {}

  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  Error fault(const std::string& problem) const {
    return std::move(Error(ErrorKind::input, problem).file(file_).at(origin_ + op_at_));
  }

  PickleOp opcode() {
    op_at_ = at_;
    return static_cast<PickleOp>(take(1)[0]);
  }

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > left()) {
      throw fault("the pickle is cut short")
          .expected(std::to_string(count) + " more bytes from byte " + std::to_string(origin_ + at_))
          .found(std::to_string(left()))
          .remedy("download the file again");
    }
    const auto out = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += out.size();
    return out;
  }

  std::uint64_t number(std::size_t width) { return LittleEndian(take(width)).u64(0); }

  std::string text(std::uint64_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::string line() {
    const auto rest = bytes_.subspan(at_, std::min(left(), std::size_t{64 * 1024}));
    const auto end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
    if (end == rest.end()) throw fault("a line of the pickle does not end");
    std::string out = text(static_cast<std::uint64_t>(end - rest.begin()));
    take(1);
    return out;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::filesystem::path& file_;
  std::uint64_t origin_;
  std::size_t at_ = 0, op_at_ = 0;
};

}  // namespace galatea
