// How much a zstd frame may ask to be kept of what was unpacked.
#pragma once

#include <cstdint>

namespace galatea {

/// The power of two for ZSTD_d_windowLogMax: at most 128 MiB, as zstd has it without --long, and at most 4 times a packed file
/// of `packed_bytes` and 8 MiB, so that a few bytes do not ask for much memory. A frame that wants more is refused with
/// ZSTD_error_frameParameter_windowTooLarge.
inline int zstd_window_log(std::uint64_t packed_bytes) {
  constexpr int least = 23;
  constexpr int most = 27;
  int log = least;
  while (log < most && (std::uint64_t{1} << static_cast<unsigned>(log + 1)) / 4 <= packed_bytes) ++log;
  return log;
}

inline constexpr const char* zstd_window_remedy = "unpack it yourself: zstd -d --long=31 FILE";

}  // namespace galatea
