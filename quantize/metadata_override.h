// Metadata that the user states instead of the model: llama.cpp's --override-kv KEY=TYPE:VALUE.
//
//   TYPE    VALUE                       stored as
//   int     a whole number              u32 where it fits, else i32, else i64
//   float   a number                    f32
//   bool    true or false               bool
//   str     at most 65,535 bytes, UTF-8 str
#pragma once

#include <string_view>
#include <vector>

#include "format/gguf_value.h"

namespace galatea {

/// Throws Error(usage) for another form, a type that there is none of, and for keys that galatea writes itself
/// (split.*).
GgufEntry parse_metadata_override(std::string_view text);

/// Replaces the entries of the same keys, in their places; new ones come last. Throws Error(usage) where an
/// array (a vocabulary) would become a single value.
void override_metadata(GgufMetadata& metadata, const std::vector<GgufEntry>& overrides);

}  // namespace galatea
