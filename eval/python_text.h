// What Python's str does to text, where published numbers depend on it.
#pragma once

#include <cstdint>
#include <string_view>

namespace galatea {

/// str.lstrip() and str.rstrip(): the characters for which str.isspace() holds are taken off.
/// Precondition: `text` is UTF-8.
std::string_view python_lstrip(std::string_view text);
std::string_view python_rstrip(std::string_view text);
std::string_view python_strip(std::string_view text);

/// Pieces that re.split(r"\s+", text) gives: one more than there are runs of white space.
std::uint64_t python_words(std::string_view text);

}  // namespace galatea
