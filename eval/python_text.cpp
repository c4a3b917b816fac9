#include "eval/python_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "format/utf8.h"

namespace galatea {
namespace {

/// The code point of one whole UTF-8 sequence.
std::uint32_t code_point(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return lead;
  std::uint32_t value = lead & (0x7FU >> sequence.size());
  for (std::size_t i = 1; i < sequence.size(); ++i) {
    value = value << 6U | (static_cast<unsigned char>(sequence[i]) & 0x3FU);
  }
  return value;
}

/// str.isspace() of one character, as Python 3 has had it since Unicode 6.3.
bool is_space(std::uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace

std::string_view python_lstrip(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || !is_space(code_point(text.substr(0, length)))) break;
    text.remove_prefix(length);
  }
  return text;
}

std::string_view python_rstrip(std::string_view text) {
  while (!text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80U) --start;
    const std::string_view last = text.substr(start);
    if (utf8_length(last) != last.size() || !is_space(code_point(last))) break;
    text.remove_suffix(last.size());
  }
  return text;
}

std::uint64_t python_words(std::string_view text) {
  std::uint64_t runs = 0;
  bool in_space = false;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    const bool space = length <= 4 && utf8_length(text) > 0 && is_space(code_point(text.substr(0, length)));
    if (space && !in_space) ++runs;
    in_space = space;
    text.remove_prefix(length);
  }
  return runs + 1;
}

std::string_view python_strip(std::string_view text) { return python_rstrip(python_lstrip(text)); }

}  // namespace galatea
