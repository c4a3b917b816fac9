#include "format/pattern.h"

#include <charconv>
#include <optional>

#include "format/error.h"

namespace galatea {
namespace {

using Instruction = Pattern::Instruction;
using Op = Instruction::Op;
using Fragment = std::vector<Instruction>;
using Set = std::bitset<256>;

constexpr std::size_t max_steps = 20'000;
constexpr int max_depth = 40;

std::int32_t distance(std::size_t steps) { return static_cast<std::int32_t>(steps); }

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Set set_of(bool (*holds)(char)) {
  Set set;
  for (unsigned c = 0; c < 256; ++c) set[c] = holds(static_cast<char>(c));
  return set;
}

class Compiler {
 public:
  Compiler(std::string_view pattern, std::vector<Set>& sets) : pattern_(pattern), sets_(&sets) {}

  Fragment whole() {
    Fragment out = alternatives(0);
    if (at_ != pattern_.size()) refuse("a closing parenthesis without its opening one");
    return out;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(ErrorKind::input, "a regular expression is not understood")
        .expected("a regular expression of the common kind")
        .found("'" + printable(pattern_) + "': " + std::string(what));
  }
  bool more() const { return at_ < pattern_.size(); }
  char peek() const { return pattern_[at_]; }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  void append(Fragment& to, const Fragment& from) const {
    if (to.size() + from.size() > max_steps) refuse("it is too large");
    to.insert(to.end(), from.begin(), from.end());
  }

  Fragment alternatives(int depth) {
    if (depth > max_depth) refuse("its groups are nested too deeply");
    Fragment out = sequence(depth);
    while (more() && peek() == '|') {
      ++at_;
      const Fragment other = sequence(depth);
      Fragment both = {{Op::split, 1, distance(out.size() + 2)}};
      append(both, out);
      both.push_back({Op::jump, distance(other.size() + 1), 0});
      append(both, other);
      out = std::move(both);
    }
    return out;
  }

  Fragment sequence(int depth) {
    Fragment out;
    while (more() && peek() != '|' && peek() != ')') append(out, repeated(atom(depth)));
    return out;
  }

  Fragment repeated(Fragment one) {
    while (more()) {
      std::size_t least = 0;
      std::optional<std::size_t> most;  // nothing: without end
      if (take("+")) {
        least = 1;
      } else if (take("?")) {
        most = 1;
      } else if (!take("*") && !(peek() == '{' && counts(least, most))) {
        break;
      }
      if (take("+")) refuse("possessive repetition");
      take("?");
      one = times(one, least, most);
    }
    return one;
  }

  /// "{2}", "{2,}", "{,5}", "{2,5}". False when the brace is a character.
  bool counts(std::size_t& least, std::optional<std::size_t>& most) {
    const std::size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos) return false;
    const std::string_view inside = pattern_.substr(at_ + 1, close - at_ - 1);
    const std::size_t comma = inside.find(',');
    const auto number = [](std::string_view digits, std::size_t& value) {
      const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      return code == std::errc() && stop == digits.data() + digits.size() && value <= max_steps;
    };
    std::size_t last = 0;
    const std::string_view first = inside.substr(0, comma);
    if (comma == std::string_view::npos) {
      if (!number(first, least)) return false;
      most = least;
    } else {
      const std::string_view second = inside.substr(comma + 1);
      if (!first.empty() && !number(first, least)) return false;
      if (!second.empty()) {
        if (!number(second, last)) return false;
        most = last;
      }
    }
    if (most && *most < least) refuse("a repetition that makes no sense");
    at_ = close + 1;
    return true;
  }

  Fragment times(const Fragment& one, std::size_t least, const std::optional<std::size_t>& most) {
    Fragment out;
    for (std::size_t i = 0; i < least; ++i) append(out, one);
    if (!most) {
      append(out, {{Op::split, 1, distance(one.size() + 2)}});
      append(out, one);
      append(out, {{Op::jump, -distance(one.size() + 1), 0}});
      return out;
    }
    for (std::size_t i = least; i < *most; ++i) {
      append(out, {{Op::split, 1, distance((one.size() + 1) * (*most - i))}});
      append(out, one);
    }
    return out;
  }

  Fragment of_set(const Set& set) {
    sets_->push_back(set);
    return {{Op::set, distance(sets_->size() - 1), 0}};
  }
  Fragment of_char(char c) {
    Set set;
    set.set(static_cast<unsigned char>(c));
    return of_set(set);
  }

  Fragment atom(int depth) {
    const char c = peek();
    if (c == '(') return group(depth);
    if (c == '[') return of_set(bracket());
    ++at_;
    switch (c) {
      case '.':
        return of_set(set_of([](char x) { return x != '\n'; }));
      case '^':
        return {{Op::begin, 0, 0}};
      case '$':
        return {{Op::end, 0, 0}};
      case '*':
      case '+':
      case '?':
        refuse("a repetition of nothing");
      case '\\':
        return escape();
      default:
        return of_char(c);
    }
  }

  Fragment group(int depth) {
    ++at_;
    Op look = Op::match;
    if (take("?:")) {
    } else if (take("?=")) {
      look = Op::ahead;
    } else if (take("?!")) {
      look = Op::not_ahead;
    } else if (take("?P<")) {
      while (more() && peek() != '>') ++at_;
      if (!take(">")) refuse("a name without its end");
    } else if (more() && peek() == '?') {
      refuse("a group of an unusual kind");
    }
    const bool looks = look != Op::match;
    if (looks && looking_) refuse("a look ahead within another");
    looking_ = looking_ || looks;
    Fragment inside = alternatives(depth + 1);
    if (looks) looking_ = false;
    if (!take(")")) refuse("a group without its end");
    if (!looks) return inside;
    Fragment out = {{look, distance(inside.size() + 2), 0}};
    append(out, inside);
    out.push_back({Op::match, 0, 0});
    return out;
  }

  char hexadecimal() {
    unsigned value = 0;
    const std::string_view digits = pattern_.substr(at_, 2);
    const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (code != std::errc() || stop != digits.data() + 2) refuse("\\x without two digits");
    at_ += 2;
    return static_cast<char>(value);
  }

  /// \d and its kin; nothing for others. `c` is what follows the backslash.
  static bool class_of(char c, Set& set) {
    constexpr std::string_view known = "dDwWsS";
    if (known.find(c) == std::string_view::npos) return false;
    if (c == 'd' || c == 'D') set = set_of([](char x) { return x >= '0' && x <= '9'; });
    if (c == 'w' || c == 'W') set = set_of(is_word);
    if (c == 's' || c == 'S') set = set_of([](char x) { return x == ' ' || (x >= '\t' && x <= '\r'); });
    if (c < 'a') set.flip();
    return true;
  }

  char escaped_char(char c) {
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'x':
        return hexadecimal();
      default:
        if (is_word(c)) refuse(std::string("the escape \\") + c);
        return c;
    }
  }

  Fragment escape() {
    if (!more()) refuse("a backslash at the end");
    const char c = pattern_[at_++];
    Set set;
    if (class_of(c, set)) return of_set(set);
    if (c == 'A') return {{Op::begin, 0, 0}};
    if (c == 'Z') return {{Op::end, 0, 0}};
    if (c == 'b') return {{Op::word_edge, 0, 0}};
    if (c == 'B') return {{Op::no_word_edge, 0, 0}};
    return of_char(escaped_char(c));
  }

  Set bracket() {
    ++at_;
    Set set;
    const bool inverted = take("^");
    for (bool first = true;; first = false) {
      if (!more()) refuse("a set without its end");
      char c = pattern_[at_++];
      if (c == ']' && !first) break;
      Set known;
      if (c == '\\') {
        if (!more()) refuse("a backslash at the end");
        c = pattern_[at_++];
        if (class_of(c, known)) {
          set |= known;
          continue;
        }
        c = escaped_char(c);
      }
      char last = c;
      if (pattern_.size() - at_ >= 2 && peek() == '-' && pattern_[at_ + 1] != ']') {
        ++at_;
        last = pattern_[at_++];
        if (last == '\\') {
          if (!more()) refuse("a backslash at the end");
          last = escaped_char(pattern_[at_++]);
        }
      }
      const auto from = static_cast<unsigned char>(c);
      const auto to = static_cast<unsigned char>(last);
      if (from > to) refuse("a range backwards");
      for (unsigned i = from; i <= to; ++i) set.set(i);
    }
    return inverted ? ~set : set;
  }

  std::string_view pattern_;
  std::vector<Set>* sets_;
  std::size_t at_ = 0;
  bool looking_ = false;
};

bool at_word_edge(std::string_view text, std::size_t at) {
  const bool before = at > 0 && is_word(text[at - 1]);
  const bool after = at < text.size() && is_word(text[at]);
  return before != after;
}

}  // namespace

Pattern::Pattern(std::string_view pattern) {
  program_ = Compiler(pattern, sets_).whole();
  program_.push_back({Op::match, 0, 0});
}

/// Adds to `threads` every step that reads a character or ends the match and is reached from `start` at `at`.
void Pattern::follow(std::size_t start, std::string_view text, std::size_t at,
                     std::vector<std::uint32_t>& threads, std::vector<std::uint32_t>& seen,
                     std::uint32_t mark) const {
  std::vector<std::size_t> open = {start};
  while (!open.empty()) {
    const std::size_t here = open.back();
    open.pop_back();
    if (seen[here] == mark) continue;
    seen[here] = mark;
    const Instruction& step = program_[here];
    const auto to = [&](std::int32_t by) {
      open.push_back(static_cast<std::size_t>(static_cast<std::int64_t>(here) + by));
    };
    switch (step.op) {
      case Op::set:
      case Op::match:
        threads.push_back(static_cast<std::uint32_t>(here));
        break;
      case Op::jump:
        to(step.first);
        break;
      case Op::split:
        to(step.first);
        to(step.second);
        break;
      case Op::begin:
        if (at == 0) to(1);
        break;
      case Op::end:
        if (at == text.size()) to(1);
        break;
      case Op::word_edge:
        if (at_word_edge(text, at)) to(1);
        break;
      case Op::no_word_edge:
        if (!at_word_edge(text, at)) to(1);
        break;
      case Op::ahead:
        if (run(here + 1, text, at, false)) to(step.first);
        break;
      case Op::not_ahead:
        if (!run(here + 1, text, at, false)) to(step.first);
        break;
    }
  }
}

bool Pattern::run(std::size_t start, std::string_view text, std::size_t from, bool whole) const {
  std::vector<std::uint32_t> seen(program_.size(), 0);
  std::vector<std::uint32_t> threads;
  std::vector<std::uint32_t> next;
  std::uint32_t mark = 1;
  follow(start, text, from, threads, seen, mark);
  for (std::size_t at = from;; ++at) {
    next.clear();
    ++mark;
    for (const std::uint32_t thread : threads) {
      const Instruction& step = program_[thread];
      if (step.op == Op::match) {
        if (!whole || at == text.size()) return true;
      } else if (at < text.size() &&
                 sets_[static_cast<std::size_t>(step.first)][static_cast<unsigned char>(text[at])]) {
        follow(thread + 1U, text, at + 1, next, seen, mark);
      }
    }
    if (at >= text.size() || next.empty()) return false;
    threads.swap(next);
  }
}

bool Pattern::matches(std::string_view text) const { return run(0, text, 0, true); }

bool Pattern::found_in(std::string_view text) const {
  for (std::size_t from = 0; from <= text.size(); ++from) {
    if (run(0, text, from, false)) return true;
  }
  return false;
}

}  // namespace galatea
