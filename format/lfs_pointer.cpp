#include "format/lfs_pointer.h"

#include <algorithm>
#include <charconv>

namespace galatea {
namespace {

constexpr std::uint64_t longest = 1023;
constexpr std::string_view version = "version https://git-lfs.github.com/spec/v1";

std::optional<std::string> parse_oid(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  if (!text.starts_with(prefix) || text.size() != prefix.size() + 64) return std::nullopt;
  std::string hex(text.substr(prefix.size()));
  for (char& c : hex) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return std::nullopt;
  }
  return hex;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t size = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return size;
}

}  // namespace

std::optional<LfsPointer> parse_lfs_pointer(std::string_view text) {
  if (text.size() > longest || !text.starts_with(version)) return std::nullopt;
  std::optional<std::string> oid;
  std::optional<std::uint64_t> size;
  for (bool first = true; !text.empty(); first = false) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (first && line != version) return std::nullopt;
    if (line.starts_with("oid ")) {
      if (oid || !(oid = parse_oid(line.substr(4)))) return std::nullopt;
    } else if (line.starts_with("size ")) {
      if (size || !(size = parse_size(line.substr(5)))) return std::nullopt;
    }
  }
  if (!oid || !size) return std::nullopt;
  return LfsPointer{*oid, *size};
}

std::optional<LfsPointer> read_lfs_pointer(const ByteSource& source) {
  if (source.size() > longest) return std::nullopt;
  return parse_lfs_pointer(source.read_text(longest));
}

}  // namespace galatea
