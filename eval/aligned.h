// Memory that begins at a cache line, as tiles want it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace galatea::kernel {

template <class T>
class Aligned {
 public:
  explicit Aligned(std::uint64_t count) : values_(static_cast<std::size_t>(count + 64 / sizeof(T))) {}
  T* get() {
    void* start = values_.data();
    std::size_t space = values_.size() * sizeof(T);
    return static_cast<T*>(std::align(64, 1, start, space));
  }

 private:
  std::vector<T> values_;
};

}  // namespace galatea::kernel
