// The bytes that a FileLayout would have as a file, produced when they are asked for: a base checkpoint that
// is XORed, hashed or compared without ever being written.
//
// Any range can be read in any order and by several threads. Bytes that follow from CRC-32s (zip) need the
// tensors before them: what was read already is remembered as one number for each stretch, the rest is read
// then. Reading front to back therefore costs each tensor once.
#pragma once

#include <filesystem>

#include "format/plan.h"
#include "format/source.h"

namespace galatea {

/// `name` stands for the source in error messages.
SourcePtr layout_source(FileLayout layout, const std::filesystem::path& name);

}  // namespace galatea
