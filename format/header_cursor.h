// Inside of the format room: reads the fields of a header one after another through a buffer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/source.h"

namespace galatea {

class HeaderCursor {
 public:
  /// Reads nothing behind `limit` bytes.
  explicit HeaderCursor(SourcePtr source, std::uint64_t limit = UINT64_MAX) : source_(std::move(source)) {
    end_ = std::min(source_->size(), limit);
  }

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return end_ - position_; }
  /// Goes on at `position`. Precondition: not behind the end.
  void seek(std::uint64_t position) { position_ = position; }

  [[noreturn]] void fail(const std::string& problem, std::uint64_t at) const {
    throw Error(ErrorKind::input, problem).file(source_->name()).at(at);
  }

  void take(void* out, std::uint64_t size) {
    if (size > remaining()) {
      if (end_ < source_->size()) {
        fail("the header is longer than the " + std::to_string(end_ >> 20U) + " MiB galatea reads",
             position_);
      }
      fail("the file ends within its header", position_);
    }
    auto* place = static_cast<std::byte*>(out);
    while (size > 0) {
      if (position_ < buffer_start_ || position_ >= buffer_start_ + buffer_.size()) refill();
      const std::uint64_t offset = position_ - buffer_start_;
      const std::uint64_t piece = std::min<std::uint64_t>(size, buffer_.size() - offset);
      std::memcpy(place, buffer_.data() + offset, static_cast<std::size_t>(piece));
      place += piece;
      position_ += piece;
      size -= piece;
    }
  }

  template <class T>
  T number() {
    T value;
    take(&value, sizeof value);
    return value;
  }

 private:
  void refill() {
    constexpr std::uint64_t step = std::uint64_t{1} << 18U;
    buffer_start_ = position_;
    buffer_.resize(static_cast<std::size_t>(std::min(step, end_ - position_)));
    source_->read(buffer_start_, buffer_);
  }

  SourcePtr source_;
  std::uint64_t end_ = 0, position_ = 0, buffer_start_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace galatea
