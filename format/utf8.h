// Is it UTF-8? (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF.)
#pragma once

#include <cstddef>
#include <string_view>

namespace galatea {

/// Bytes of the valid sequence at the start of `text` (not empty), 0 when there is none.
std::size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace galatea
