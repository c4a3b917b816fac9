// What a layout would write, for tests.
#pragma once

#include <span>
#include <string>

#include "format/plan.h"

namespace galatea::test {

inline std::string bytes_of(const FileLayout& layout) {
  std::string out;
  stream_layout(layout, {}, [&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return out;
}

}  // namespace galatea::test
