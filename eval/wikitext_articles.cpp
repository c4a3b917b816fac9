#include "eval/wikitext_articles.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "eval/python_text.h"

namespace galatea {
namespace {

/// str.replace
std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t next = text.find(from, at);
    out += text.substr(at, next - at);
    if (next == std::string_view::npos) break;
    out += to;
    at = next + from.size();
  }
  return out;
}

/// White space just inside of each pair `open` ... `close` is taken out; between the two no `close` occurs.
std::string tightened(std::string_view text, char open, char close) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = text.find(open, at);
    if (first == std::string_view::npos) {
      out += text.substr(at);
      break;
    }
    const std::size_t last = text.find(close, first + 1);
    if (last == std::string_view::npos) {
      out += text.substr(at);
      break;
    }
    out += text.substr(at, first + 1 - at);
    out += python_strip(text.substr(first + 1, last - first - 1));
    out += close;
    at = last + 1;
  }
  return out;
}

/// re.sub(r"/' [0-9]/", r"/'[0-9]/", text): as the task has it, class and all.
std::string with_odd_rule(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const bool match =
        rest.size() >= 5 && rest.starts_with("/' ") && rest[3] >= '0' && rest[3] <= '9' && rest[4] == '/';
    out += match ? std::string_view("/'[0-9]/") : rest.substr(0, 1);
    at += match ? 5 : 1;
  }
  return out;
}

bool starts_article(std::string_view line) {
  const std::string plain = replaced(replaced(line, "= = =", "==="), "= =", "==");
  const std::string_view stripped = python_strip(plain);
  return stripped.starts_with("= ") && stripped.ends_with(" =");
}

}  // namespace

std::vector<std::string> wikitext_articles(std::string_view text) {
  std::vector<std::string> out;
  std::string page;
  bool first = true;
  const auto finish = [&] {
    if (!python_strip(page).empty()) out.push_back(std::move(page));
    page.clear();
    first = true;
  };
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (starts_article(line)) finish();
    if (!first) page += '\n';
    page += line;
    first = false;
    at = end + 1;
  }
  finish();
  return out;
}

std::string wikitext_unspaced(std::string_view article) {
  static constexpr std::pair<std::string_view, std::string_view> before[] = {
      {"s '", "s'"}, {" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."}, {" : ", ": "},
      {" ; ", "; "}, {" . ", ". "},  {" ! ", "! "},  {" ? ", "? "},  {" , ", ", "}};
  static constexpr std::pair<std::string_view, std::string_view> after[] = {
      {"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="},  {" \xC2\xB0 ", "\xC2\xB0"},
      {" \n", "\n"},       {"\n ", "\n"},    {" N ", " 1 "}, {" 's", "'s"}};
  std::string out(article);
  for (const auto& [from, to] : before) {
    out = replaced(out, from, to);
    if (from == before[0].first) out = with_odd_rule(out);
  }
  for (const char* pair : {"()", "[]", "{}", "\"\"", "''"}) out = tightened(out, pair[0], pair[1]);
  for (const auto& [from, to] : after) out = replaced(out, from, to);
  return out;
}

}  // namespace galatea
