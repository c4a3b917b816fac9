// One file by several threads: each has its algorithms, all hash the same piece while one reads the next.
#pragma once

#include <span>

#include "verify/digest.h"

namespace galatea {

/// The digests of all bytes of `source`, which is read once, by `lanes` threads (at least 1; more than one for
/// each algorithm and one for reading find nothing to do). Two buffers of 1 MiB. Calls progress.advance only.
Digests digest_in_lanes(const ByteSource& source, std::span<const HashKind> kinds, int lanes,
                        Progress& progress, HashClock& clock);

}  // namespace galatea
