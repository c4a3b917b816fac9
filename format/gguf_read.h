// Reading the tables of one GGUF file; gguf.h has the bytes.
#pragma once

#include "format/gguf.h"

namespace galatea {

struct GgufPart {
  std::uint32_t version = 0;
  std::uint64_t alignment = 32;
  GgufMetadata metadata;
  std::vector<Tensor> tensors;
};

/// Throws Error(input) unless everything is in order: see gguf.h.
GgufPart read_gguf_part(const SourcePtr& source);

}  // namespace galatea
