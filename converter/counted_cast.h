// A cast that counts what it destroys: values that become infinite, and values that become zero.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "format/rows.h"

namespace galatea {

struct CastLosses {
  std::atomic<std::uint64_t> overflowed{0};   ///< finite before, infinite (or NaN) after
  std::atomic<std::uint64_t> underflowed{0};  ///< not zero before, zero after
};

/// cast_rows(source, type) that adds to `losses` on every read. A cast that can lose neither is not
/// watched.
RowsPtr counted_cast(RowsPtr source, DType type, std::shared_ptr<CastLosses> losses);

/// "3 values became infinite, 120 became zero"; empty when nothing was lost.
std::string describe(const CastLosses& losses);

}  // namespace galatea
