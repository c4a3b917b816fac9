// Strict reading of JSON that came from outside.
//
// JSON as RFC 8259 has it, and beyond that: no byte order mark, no invalid UTF-8, no name twice in one object
// (JSON libraries keep one of the two without a word, so a check and a loader could see different values),
// bounded in size and depth. Every fault is an Error(input) with the file and the byte.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "format/source.h"

namespace galatea {

struct JsonLimits {
  std::uint64_t bytes = std::uint64_t{64} << 20U;
  std::uint32_t depth = 64;  ///< objects and arrays within each other
  /// Integers beyond 64 bits: kept with all their digits (big_integer() of format/python_json.h) when set,
  /// else they become the nearest float64.
  bool keep_big_integers = false;
};

/// The value of a JSON text. `name` is the file that errors give; `origin` is the byte of the file where the
/// text starts. The names of an object are sorted.
nlohmann::json parse_json(std::string_view text, const std::filesystem::path& name, std::uint64_t origin = 0,
                          const JsonLimits& limits = {});
nlohmann::json parse_json(const ByteSource& source, const JsonLimits& limits = {});
nlohmann::json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// The same with the names of an object in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::filesystem::path& name,
                                          std::uint64_t origin = 0, const JsonLimits& limits = {});
nlohmann::ordered_json parse_ordered_json(const ByteSource& source, const JsonLimits& limits = {});
nlohmann::ordered_json parse_ordered_json_file(const std::filesystem::path& path,
                                               const JsonLimits& limits = {});

}  // namespace galatea
