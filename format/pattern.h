// Regular expressions that come from outside: of adapter configurations (target_modules, rank_pattern, ...) and of
// --tensor-type.
//
// The part of Python's `re` that such patterns use, matched without backtracking: time grows with the length
// of the pattern times that of the name, whatever a hostile pattern looks like.
//
//   a \. \n \x41    characters            [a-z_] [^.] \d \w \s \D \W \S .    sets ('.': all but a line end)
//   x* x+ x? x{2} x{2,} x{2,5}            repeated, lazy ones (x*?) alike: only whether it matches is asked
//   x|y  (x)  (?:x)  (?P<name>x)          alternatives, groups
//   ^ $ \A \Z \b \B                       places
//   (?=x)  (?!x)                          what follows, not within each other
//
// Names are matched byte by byte. What is not in the table (back references, what precedes, flags) is an Error.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace galatea {

class Pattern {
 public:
  /// Throws Error(input) for a pattern that is not in the table above, or that needs more than 20,000 steps.
  explicit Pattern(std::string_view pattern);

  /// re.fullmatch(pattern, text).
  bool matches(std::string_view text) const;
  /// re.search(pattern, text): somewhere in `text`.
  bool found_in(std::string_view text) const;

  /// What matching costs for each character of the name.
  std::size_t steps() const { return program_.size(); }

  struct Instruction {
    enum class Op : std::uint8_t {
      set,
      split,
      jump,
      begin,
      end,
      word_edge,
      no_word_edge,
      ahead,
      not_ahead,
      match
    };
    Op op = Op::match;
    std::int32_t first = 0,
                 second = 0;  ///< set: its number; split, jump: where to, from here; ahead: its length
  };

 private:
  bool run(std::size_t start, std::string_view text, std::size_t from, bool whole) const;
  void follow(std::size_t start, std::string_view text, std::size_t at, std::vector<std::uint32_t>& threads,
              std::vector<std::uint32_t>& seen, std::uint32_t mark) const;

  std::vector<Instruction> program_;
  std::vector<std::bitset<256>> sets_;
};

}  // namespace galatea
