// JUnit XML, which CI systems show: one test case for each corpus.
#pragma once

#include <span>
#include <string>

namespace galatea {

struct JUnitCase {
  std::string name;
  double seconds = 0;
  std::string failure;  ///< empty: passed
  std::string output;   ///< a few lines for people
};

/// The document. Characters that XML cannot hold are shown as '?'.
std::string junit_xml(const std::string& suite, std::span<const JUnitCase> cases);

/// `text` for XML or HTML, between tags or in an attribute.
std::string escaped_markup(std::string_view text);

}  // namespace galatea
