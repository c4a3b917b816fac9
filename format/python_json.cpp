#include "format/python_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "format/error.h"

namespace galatea {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse_string(std::string_view text) {
  throw Error(ErrorKind::input, "a string to be written as JSON is not valid UTF-8")
      .found("\"" + printable(text) + "\"");
}

/// The code point at the start of `text`, which loses it.
std::uint32_t take_code_point(std::string_view& text, std::string_view whole) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    if (i >= text.size()) refuse_string(whole);
    return static_cast<unsigned char>(text[i]);
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) {
    text.remove_prefix(1);
    return lead;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) refuse_string(whole);
  std::uint32_t code = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) refuse_string(whole);
    code = (code << 6U) | (byte(i) & 0x3FU);
  }
  const std::uint32_t least = length == 2 ? 0x80U : length == 3 ? 0x800U : 0x10000U;
  if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) refuse_string(whole);
  text.remove_prefix(length);
  return code;
}

void append_u16(std::string& out, std::uint32_t unit) {
  char escaped[8];
  std::snprintf(escaped, sizeof escaped, "\\u%04x", unit & 0xFFFFU);
  out += escaped;
}

void append_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view before = rest;
    const std::uint32_t code = take_code_point(rest, text);
    switch (code) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (code < 0x20 || (ensure_ascii && code > 0x7E && code <= 0xFFFF)) {
      append_u16(out, code);
    } else if (ensure_ascii && code > 0xFFFF) {
      append_u16(out, 0xD800U + ((code - 0x10000U) >> 10U));
      append_u16(out, 0xDC00U + ((code - 0x10000U) & 0x3FFU));
    } else {
      out += before.substr(0, before.size() - rest.size());
    }
  }
  out += '"';
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return python_float_repr(value);
}

class Writer {
 public:
  explicit Writer(const PythonJsonStyle& style) : style_(style) {}

  void value(const Json& json, int level) {
    switch (json.type()) {
      case Json::value_t::object:
        return object(json, level);
      case Json::value_t::array:
        return array(json, level);
      case Json::value_t::string:
        return append_string(out_, json.get_ref<const std::string&>(), style_.ensure_ascii);
      case Json::value_t::boolean:
        out_ += json.get<bool>() ? "true" : "false";
        return;
      case Json::value_t::number_integer:
        out_ += std::to_string(json.get<std::int64_t>());
        return;
      case Json::value_t::number_unsigned:
        out_ += std::to_string(json.get<std::uint64_t>());
        return;
      case Json::value_t::number_float:
        out_ += json_float(json.get<double>());
        return;
      case Json::value_t::binary: {
        const Json::binary_t& digits = json.get_binary();
        out_.append(digits.begin(), digits.end());
        return;
      }
      case Json::value_t::null:
      case Json::value_t::discarded:
        break;
    }
    out_ += "null";
  }

  std::string take() { return std::move(out_); }

 private:
  void new_line(int level) {
    if (style_.indent < 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(style_.indent) * static_cast<std::size_t>(level), ' ');
  }
  void between(bool first, int level) {
    if (!first) out_ += style_.indent < 0 ? ", " : ",";
    new_line(level);
  }

  void object(const Json& json, int level) {
    if (json.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<Json::const_iterator> members;
    for (auto it = json.begin(); it != json.end(); ++it) members.push_back(it);
    if (style_.sort_keys) {  // UTF-8 sorts as code points do
      std::stable_sort(members.begin(), members.end(),
                       [](const auto& a, const auto& b) { return a.key() < b.key(); });
    }
    out_ += '{';
    bool first = true;
    for (const auto& member : members) {
      between(first, level + 1);
      first = false;
      append_string(out_, member.key(), style_.ensure_ascii);
      out_ += ": ";
      value(member.value(), level + 1);
    }
    new_line(level);
    out_ += '}';
  }

  void array(const Json& json, int level) {
    if (json.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    bool first = true;
    for (const Json& member : json) {
      between(first, level + 1);
      first = false;
      value(member, level + 1);
    }
    new_line(level);
    out_ += ']';
  }

  PythonJsonStyle style_;
  std::string out_;
};

}  // namespace

std::string python_json(const Json& value, const PythonJsonStyle& style) {
  Writer writer(style);
  writer.value(value, 0);
  return writer.take();
}

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string out;
  append_string(out, text, ensure_ascii);
  return out;
}

std::string python_float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));  // "-d.ddde-XX"
  std::string out;
  std::string digits;
  const std::size_t mark = text.find('e');
  for (const char c : text.substr(0, mark)) {
    if (c == '-')
      out += '-';
    else if (c != '.')
      digits += c;
  }
  int exponent = 0;
  std::string_view power = text.substr(mark + 1);
  if (power.front() == '+') power.remove_prefix(1);
  std::from_chars(power.data(), power.data() + power.size(), exponent);

  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {  // Python's rule for repr
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    char tail[16];
    std::snprintf(tail, sizeof tail, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + tail;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

Json big_integer(std::string_view digits) {
  const std::string_view figures = digits.substr(!digits.empty() && digits.front() == '-' ? 1 : 0);
  if (figures.empty() || figures.find_first_not_of("0123456789") != std::string_view::npos) {
    throw Error(ErrorKind::input, "is not an integer").found("\"" + printable(digits) + "\"");
  }
  return Json::binary({digits.begin(), digits.end()}, big_integer_subtype);
}

}  // namespace galatea
