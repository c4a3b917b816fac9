// What is wrong with values at first sight: NaN, infinities, nothing but zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "format/dtype.h"

namespace galatea {

struct ValueCounts {
  std::uint64_t values = 0;
  std::uint64_t nan = 0;
  std::uint64_t infinite = 0;
  bool nonzero = false;     ///< some value is neither +0 nor -0
  std::uint64_t first = 0;  ///< index of the first NaN or infinity; only if there is one

  bool finite() const { return nan == 0 && infinite == 0; }
  /// Takes in the counts of values that begin at index `begin`; the order of calls does not matter.
  void add(const ValueCounts& part, std::uint64_t begin);
};

/// `bytes` are whole values of `type`, whole blocks for quantized ones, which are decoded. Integers are never
/// NaN or infinite.
ValueCounts scan_values(DType type, std::span<const std::byte> bytes);

}  // namespace galatea
