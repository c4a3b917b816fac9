// Values of GGUF metadata. The places of the alternatives are GGUF's numbers of the types:
//
//   0 u8   1 i8   2 u16   3 i16   4 u32   5 i32   6 f32   7 bool   8 string   9 array   10 u64   11 i64
//   12 f64
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace galatea {

/// An array holds values of one type; arrays of arrays are allowed.
struct GgufArray {
  std::variant<std::vector<std::uint8_t>, std::vector<std::int8_t>, std::vector<std::uint16_t>,
               std::vector<std::int16_t>, std::vector<std::uint32_t>, std::vector<std::int32_t>,
               std::vector<float>, std::vector<bool>, std::vector<std::string>, std::vector<GgufArray>,
               std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>>
      items;

  std::size_t size() const {
    return std::visit([](const auto& values) { return values.size(); }, items);
  }
};

/// Strings are bytes as stored: GGUF wants UTF-8, but files are known that do not keep to it.
using GgufValue =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                 bool, std::string, GgufArray, std::uint64_t, std::int64_t, double>;

struct GgufEntry {
  std::string key;
  GgufValue value;
};

/// In the order of the file.
using GgufMetadata = std::vector<GgufEntry>;

/// "u8" ... "f64" for a type number below 13.
std::string_view gguf_type_name(std::size_t type);

/// For listings: the value, strings quoted and escaped, arrays as "[3 x str: "a", "b", ...]" with at most
/// `shown` of their items.
std::string to_string(const GgufValue& value, std::size_t shown = 4);

}  // namespace galatea
