// Arithmetic on numbers that came out of a file: a sum, product or conversion that does not fit throws.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "format/error.h"

namespace galatea {

/// a + b in 64 bits; throws Error(input) on overflow. `what` names the quantity in the message.
inline std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, const char* what) {
  std::uint64_t out = 0;
  if (__builtin_add_overflow(a, b, &out)) {
    throw Error(ErrorKind::input, std::string(what) + " does not fit in 64 bits");
  }
  return out;
}

/// a * b in 64 bits; throws Error(input) on overflow.
inline std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b, const char* what) {
  std::uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) {
    throw Error(ErrorKind::input, std::string(what) + " does not fit in 64 bits");
  }
  return out;
}

/// The product of all extents; 1 for a scalar. Throws Error(input) on overflow.
inline std::uint64_t checked_product(std::span<const std::uint64_t> extents, const char* what) {
  std::uint64_t out = 1;
  for (const std::uint64_t extent : extents) out = checked_mul(out, extent, what);
  return out;
}

/// `value` as `To`; throws Error(input) when it does not fit.
template <class To, class From>
To checked_cast(From value, const char* what) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  if (!std::in_range<To>(value)) {
    throw Error(ErrorKind::input, std::string(what) + " is out of range: " + std::to_string(value));
  }
  return static_cast<To>(value);
}

/// `value` rounded up to a multiple of `alignment` (> 0); throws Error(input) on overflow.
inline std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  const std::uint64_t rest = value % alignment;
  return rest == 0 ? value : checked_add(value, alignment - rest, "aligned offset");
}

}  // namespace galatea
