#include "eval/junit.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "format/utf8.h"

namespace galatea {
namespace {

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", seconds);
  return text.data();
}

}  // namespace

std::string escaped_markup(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view one = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(one.size());
    const auto byte = static_cast<unsigned char>(one[0]);
    const bool control = byte < 0x20 && byte != '\n' && byte != '\t';
    const bool no_character = one == "\xEF\xBF\xBE" || one == "\xEF\xBF\xBF";
    if (length == 0 || control || byte == 0x7F || no_character) {
      out += '?';
    } else if (one == "&") {
      out += "&amp;";
    } else if (one == "<") {
      out += "&lt;";
    } else if (one == ">") {
      out += "&gt;";
    } else if (one == "\"") {
      out += "&quot;";
    } else if (one == "'") {
      out += "&#39;";
    } else {
      out += one;
    }
  }
  return out;
}

std::string junit_xml(const std::string& suite, std::span<const JUnitCase> cases) {
  double seconds = 0;
  std::size_t failures = 0;
  for (const JUnitCase& one : cases) {
    seconds += one.seconds;
    if (!one.failure.empty()) ++failures;
  }
  const std::string name = escaped_markup(suite);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"" + name +
                    "\" tests=\"" + std::to_string(cases.size()) + "\" failures=\"" +
                    std::to_string(failures) + "\" errors=\"0\" skipped=\"0\" time=\"" +
                    seconds_text(seconds) + "\">\n";
  for (const JUnitCase& one : cases) {
    out += "    <testcase classname=\"" + name + "\" name=\"" + escaped_markup(one.name) + "\" time=\"" +
           seconds_text(one.seconds) + "\">\n";
    if (!one.failure.empty())
      out += "      <failure message=\"" + escaped_markup(one.failure) + "\" type=\"perplexity\"/>\n";
    if (!one.output.empty()) out += "      <system-out>" + escaped_markup(one.output) + "</system-out>\n";
    out += "    </testcase>\n";
  }
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace galatea
