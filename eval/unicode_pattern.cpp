#include "eval/unicode_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::size_t longest_pattern = 16384;
constexpr std::uint32_t most_steps = 20'000'000;
constexpr std::uint32_t most_kibibytes = 65536;
/// White_Space of Unicode 6.3 and later, as it stands in a class.
constexpr std::string_view white_space =
    "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

/// \s and \S written out.
std::string with_white_space(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c == '\\' && at + 1 < pattern.size()) {
      const char next = pattern[++at];
      if (next == 's') {
        out += in_class ? std::string(white_space) : "[" + std::string(white_space) + "]";
      } else if (next == 'S' && !in_class) {
        out += "[^" + std::string(white_space) + "]";
      } else {
        out += {c, next};
      }
      continue;
    }
    if (c == '[' && !in_class) {
      in_class = true;
    } else if (c == ']' && in_class) {
      in_class = false;
    }
    out += c;
  }
  return out;
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return printable(reinterpret_cast<const char*>(text.data()));
}

}  // namespace

struct UnicodePattern::Compiled {
  std::string pattern;
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;

  Compiled(std::string_view shown, const std::string& text, std::uint32_t options) : pattern(shown) {
    int error = 0;
    PCRE2_SIZE place = 0;
    if (text.size() <= longest_pattern) {
      code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | options,
                           &error, &place, nullptr);
    }
    if (code == nullptr) {
      throw Error(ErrorKind::input, "a regular expression of the tokenizer is not understood")
          .expected(text.size() > longest_pattern ? "at most 16384 characters" : message_of(error))
          .found(printable(pattern));
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // slower without, but the same
    limits = pcre2_match_context_create(nullptr);
    pcre2_set_match_limit(limits, most_steps);
    pcre2_set_heap_limit(limits, most_kibibytes);
  }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
};

UnicodePattern::UnicodePattern(std::string_view pattern)
    : compiled_(std::make_shared<const Compiled>(pattern, with_white_space(pattern), PCRE2_UCP)) {}

UnicodePattern UnicodePattern::literal(std::string_view text) {
  return UnicodePattern(std::make_shared<const Compiled>(text, std::string(text), PCRE2_LITERAL));
}

std::optional<std::pair<std::size_t, std::size_t>> UnicodePattern::find(std::string_view text,
                                                                        std::size_t from) const {
  thread_local const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create(64, nullptr), pcre2_match_data_free);
  const int code = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                               PCRE2_NO_UTF_CHECK, match.get(), compiled_->limits);
  if (code == PCRE2_ERROR_NOMATCH) return {};
  if (code < 0) {
    throw Error(ErrorKind::input, "a regular expression of the tokenizer cannot be matched")
        .expected(message_of(code))
        .found(printable(compiled_->pattern));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
  return std::pair(static_cast<std::size_t>(ends[0]), static_cast<std::size_t>(ends[1]));
}

}  // namespace galatea
