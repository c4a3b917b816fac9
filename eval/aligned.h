// Memory for the products: it begins at a cache line, as tiles want it, comes in large pages where there are such, and
// is not set to anything.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace galatea::kernel {

template <class T>
class Aligned {
 public:
  Aligned() = default;
  /// Throws std::bad_alloc.
  explicit Aligned(std::uint64_t count) : count_(count) {
    constexpr std::size_t large_page = std::size_t{2} << 20U;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    const std::size_t alignment = bytes >= large_page ? large_page : 64;
    const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
    if (bytes / sizeof(T) != count || whole < bytes) throw std::bad_alloc();
    values_.reset(static_cast<T*>(std::aligned_alloc(alignment, whole == 0 ? alignment : whole)));
    if (values_ == nullptr) throw std::bad_alloc();
    if (alignment == large_page) ::madvise(values_.get(), whole, MADV_HUGEPAGE);  // better when it can be had
  }

  /// At least `count` values; what was there is lost when it grows. Throws std::bad_alloc.
  T* at_least(std::uint64_t count) {
    if (count > count_) {
      *this = Aligned();  // first, so that both are never there at once
      *this = Aligned(count);
    }
    return get();
  }
  T* get() { return values_.get(); }
  const T* get() const { return values_.get(); }
  std::uint64_t size() const { return count_; }

 private:
  struct Free {
    void operator()(T* values) const { std::free(values); }
  };
  std::unique_ptr<T, Free> values_;
  std::uint64_t count_ = 0;
};

}  // namespace galatea::kernel
