#include "quantize/metadata_override.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::size_t longest_text = 65'535;

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<GgufValue> whole_number(std::string_view text) {
  const auto value = number_in<std::int64_t>(text);
  if (!value) return std::nullopt;
  if (std::in_range<std::uint32_t>(*value)) return static_cast<std::uint32_t>(*value);
  if (std::in_range<std::int32_t>(*value)) return static_cast<std::int32_t>(*value);
  return *value;
}

std::optional<GgufValue> value_of(std::string_view type, std::string_view text) {
  if (type == "int") return whole_number(text);
  if (type == "float") {
    const auto value = number_in<float>(text);
    if (value && std::isfinite(*value)) return *value;
  }
  if (type == "bool" && (text == "true" || text == "false")) return text == "true";
  if (type == "str" && text.size() <= longest_text && is_utf8(text)) return std::string(text);
  return std::nullopt;
}

}  // namespace

GgufEntry parse_metadata_override(std::string_view text) {
  const std::size_t equals = text.find('=');
  const std::size_t colon = equals == std::string_view::npos ? equals : text.find(':', equals);
  const auto refuse = [&](const std::string& problem) {
    return Error(ErrorKind::usage, problem)
        .expected("KEY=TYPE:VALUE, TYPE int, float, bool or str")
        .found(text);
  };
  if (colon == std::string_view::npos || equals == 0) throw refuse("not a key with a type and a value");
  const std::string_view key = text.substr(0, equals);
  if (key.starts_with("split.") || !is_utf8(key) || key.size() > longest_text)
    throw refuse("this key cannot be overridden");
  std::optional<GgufValue> value =
      value_of(text.substr(equals + 1, colon - equals - 1), text.substr(colon + 1));
  if (!value) throw refuse("the value is not of its type");
  return {std::string(key), std::move(*value)};
}

void override_metadata(GgufMetadata& metadata, const std::vector<GgufEntry>& overrides) {
  for (const GgufEntry& wanted : overrides) {
    const auto found = std::find_if(metadata.begin(), metadata.end(),
                                    [&](const GgufEntry& entry) { return entry.key == wanted.key; });
    if (found == metadata.end()) {
      metadata.push_back(wanted);
    } else if (std::holds_alternative<GgufArray>(found->value)) {
      throw Error(ErrorKind::usage, "an entry that is a list cannot become a single value").found(wanted.key);
    } else {
      found->value = wanted.value;
    }
  }
}

}  // namespace galatea
