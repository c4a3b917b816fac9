// Regular expressions over Unicode text, as tokenizer.json writes them (classes like \p{L}, lookahead), on PCRE2.
//
// \s is Unicode's White_Space as in Rust's and Oniguruma's engines, whatever PCRE2 takes for white space. A pattern is
// input: compiling is bounded, and so are the steps of a match.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace galatea {

class UnicodePattern {
 public:
  /// Throws Error(input) when the pattern is not understood.
  explicit UnicodePattern(std::string_view pattern);
  /// `text`, taken literally.
  static UnicodePattern literal(std::string_view text);

  /// Begin and end of the first match in `text` (UTF-8) that starts at `from` or later; what is before `from` is seen by
  /// lookbehind. Throws Error(input) when matching takes too many steps.
  std::optional<std::pair<std::size_t, std::size_t>> find(std::string_view text, std::size_t from) const;

 private:
  struct Compiled;
  explicit UnicodePattern(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace galatea
