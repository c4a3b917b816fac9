#include "format/amount.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>

namespace galatea {
namespace {

std::string with_one_decimal(double value) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string whole(double value) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), "%.0f", value);
  return text.data();
}

std::string two_digits(long long value) { return (value < 10 ? "0" : "") + std::to_string(value); }

}  // namespace

std::string amount(double value, std::string_view unit) {
  if (!(value > 0)) value = 0;
  if (unit == "B") {
    static constexpr const char* names[] = {" B", " kB", " MB", " GB", " TB"};
    std::size_t step = 0;
    for (; value >= (step == 0 ? 999.5 : 999.95) && step + 1 < std::size(names); ++step) value /= 1000;
    return (step == 0 ? whole(value) : with_one_decimal(value)) + names[step];
  }
  std::string digits = value < 9.95 && value != std::floor(value) ? with_one_decimal(value) : whole(value);
  if (digits.ends_with(".0")) digits.resize(digits.size() - 2);
  if (digits.find('.') == std::string::npos) {
    for (std::size_t end = digits.size(); end > 3;) {
      end -= 3;
      digits.insert(end, ",");
    }
  }
  return unit.empty() ? digits : digits + " " + std::string(unit);
}

std::string duration(double seconds) {
  if (!(seconds > 0)) seconds = 0;
  if (seconds < 9.95) return with_one_decimal(seconds) + " s";
  const long long all = std::llround(std::min(seconds, 1e15));
  if (all < 60) return std::to_string(all) + " s";
  if (all < 3600) return std::to_string(all / 60) + ":" + two_digits(all % 60);
  return std::to_string(all / 3600) + ":" + two_digits(all / 60 % 60) + ":" + two_digits(all % 60);
}

}  // namespace galatea
