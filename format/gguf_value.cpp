#include "format/gguf_value.h"

#include <array>
#include <cstdio>
#include <type_traits>

#include "format/error.h"

namespace galatea {
namespace {

template <class T>
std::string show(const T& value, std::size_t shown) {
  if constexpr (std::is_same_v<T, std::string>) {
    return '"' + printable(value) + '"';
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, GgufArray>) {
    std::string out =
        "[" + std::to_string(value.size()) + " x " + std::string(gguf_type_name(value.items.index()));
    std::visit(
        [&](const auto& values) {
          using Item = typename std::decay_t<decltype(values)>::value_type;
          for (std::size_t i = 0; i < values.size() && i < shown; ++i) {
            out += (i == 0 ? ": " : ", ") + show<Item>(values[i], shown);
          }
        },
        value.items);
    return out + (value.size() > shown ? ", ...]" : "]");
  } else if constexpr (std::is_floating_point_v<T>) {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), std::is_same_v<T, float> ? "%.9g" : "%.17g",
                  static_cast<double>(value));
    return text.data();
  } else {
    return std::to_string(value);
  }
}

}  // namespace

std::string_view gguf_type_name(std::size_t type) {
  static constexpr std::array<std::string_view, 13> names{"u8",   "i8",  "u16", "i16", "u32", "i32", "f32",
                                                          "bool", "str", "arr", "u64", "i64", "f64"};
  return names.at(type);
}

std::string to_string(const GgufValue& value, std::size_t shown) {
  return std::visit([&](const auto& held) { return show(held, shown); }, value);
}

}  // namespace galatea
