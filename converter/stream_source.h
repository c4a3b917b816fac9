// Compressed bytes, read or made, behind the same ByteSource as plain ones.
//
//   gzip    starts 1F 8B 08      any number of members (RFC 1952); written without name and time
//   zstd    starts 28 B5 2F FD   any number of frames (RFC 8878); written with a checksum
//
// A compressed stream can only be run from its start, and how long it is shows when it ends. So a source here
// runs it once to learn its size (which also finds a damaged payload before anything is written), then again
// while it is read. Reads from several threads may come in any order within 32 MiB of each other; going back
// further starts over.
#pragma once

#include <cstdint>
#include <string_view>

#include "format/progress.h"
#include "format/source.h"

namespace galatea {

enum class Compression { none, gzip, zstd };
std::string_view to_string(Compression compression);

/// By the first bytes.
Compression detect_compression(const ByteSource& source);

/// Both count the bytes of the first run with progress.advance and do not begin or end a step.
///
/// The plain bytes of a compressed source; `compressed` itself for none. Throws Error(input) when the stream
/// is damaged, cut off, followed by other bytes, or longer than `limit`.
SourcePtr decompressed_source(SourcePtr compressed, Compression compression, std::uint64_t limit,
                              Progress& progress = silent_progress());

/// The first plain bytes of a compressed source, at most `limit`, which is also what they take in memory.
/// Throws Error(input) when the stream is damaged there.
SourcePtr beginning_of(const SourcePtr& compressed, Compression compression, std::uint64_t limit);

/// The compressed bytes of a plain source; `plain` itself for none.
SourcePtr compressed_source(SourcePtr plain, Compression compression, Progress& progress = silent_progress());

}  // namespace galatea
