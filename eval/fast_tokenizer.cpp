#include "eval/fast_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "format/utf8.h"

namespace galatea {
namespace {

/// Unicode's White_Space at the start of `text`: its bytes, 0 for anything else.
std::size_t white_space_at(std::string_view text) {
  const std::size_t length = text.empty() ? 0 : utf8_length(text);
  if (length == 1) return text[0] == ' ' || (text[0] >= 0x09 && text[0] <= 0x0D) ? 1 : 0;
  const std::string_view one = text.substr(0, length);
  static constexpr std::string_view others[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80",
                                                "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
                                                "\xE2\x81\x9F", "\xE3\x80\x80"};
  if (std::find(std::begin(others), std::end(others), one) != std::end(others)) return length;
  const bool wide = length == 3 && one.starts_with("\xE2\x80") && static_cast<unsigned char>(one[2]) <= 0x8A;
  return wide ? 3 : 0;
}

/// Where the white space at the end of text[begin, end) starts.
std::size_t start_of_space(std::string_view text, std::size_t begin, std::size_t end) {
  while (end > begin) {
    std::size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(text[last]) & 0xC0U) == 0x80U) --last;
    if (white_space_at(text.substr(last, end - last)) != end - last) break;
    end = last;
  }
  return end;
}

class Matcher {
 public:
  explicit Matcher(const std::vector<CutToken>& tokens) {
    for (const CutToken& token : tokens)
      by_first_byte_[static_cast<unsigned char>(token.text[0])].push_back(&token);
  }

  /// Calls text(stretch, whether it starts `whole`) and token(id) in order.
  template <class Text, class Token>
  void cut(std::string_view whole, const Text& text, const Token& token) const {
    std::size_t begin = 0;
    for (std::size_t at = 0; at < whole.size();) {
      const CutToken* match = nullptr;
      for (const CutToken* one : by_first_byte_[static_cast<unsigned char>(whole[at])]) {
        const bool longer = match == nullptr || one->text.size() > match->text.size();
        if (longer && whole.substr(at).starts_with(one->text)) match = one;
      }
      if (match == nullptr) {
        ++at;
        continue;
      }
      std::size_t end = at + match->text.size();
      const std::size_t next = end;
      const std::size_t start = match->left_strip ? start_of_space(whole, begin, at) : at;
      if (match->right_strip) {
        while (const std::size_t space = white_space_at(whole.substr(end))) end += space;
      }
      if (start > begin) text(whole.substr(begin, start - begin), begin == 0);
      token(match->id);
      begin = end;
      at = std::max(next, end);
    }
    if (begin < whole.size()) text(whole.substr(begin), begin == 0);
  }

 private:
  std::array<std::vector<const CutToken*>, 256> by_first_byte_;
};

}  // namespace

FastTokenizer::FastTokenizer(Parts parts) : parts_(std::move(parts)) {}

std::vector<std::int32_t> FastTokenizer::encode(std::string_view text, bool around) const {
  std::vector<std::int32_t> out;
  if (around) out = parts_.before;
  const auto token = [&](std::int32_t id) { out.push_back(id); };
  const Matcher raw(parts_.raw);
  const Matcher normalized(parts_.normalized);
  raw.cut(
      text,
      [&](std::string_view stretch, bool first) {
        const std::string plain = parts_.normalizer(std::string(stretch));
        normalized.cut(
            plain,
            [&](std::string_view rest, bool first_of_plain) {
              for (const std::string& word : parts_.pre_tokenizer(rest, first && first_of_plain))
                parts_.pairs->encode(word, out);
            },
            token);
      },
      token);
  if (around) out.insert(out.end(), parts_.after.begin(), parts_.after.end());
  return out;
}

std::size_t FastTokenizer::vocabulary_size() const {
  std::size_t size = parts_.pairs->size();
  for (const auto* tokens : {&parts_.raw, &parts_.normalized}) {
    for (const CutToken& token : *tokens) size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  }
  return size;
}

}  // namespace galatea
