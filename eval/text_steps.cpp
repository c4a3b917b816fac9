#include "eval/text_steps.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "eval/unicode_pattern.h"
#include "format/error.h"

namespace galatea {
namespace {

using nlohmann::json;

constexpr int deepest = 8;
constexpr std::size_t most_steps = 64;
constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581

[[noreturn]] void refuse(const char* what, const json& step) {
  throw Error(ErrorKind::input, std::string("the tokenizer's ") + what + " is not known")
      .found(printable(step.dump(-1, ' ', true, json::error_handler_t::replace)))
      .remedy("tokenize with transformers and score the ids: --ids");
}

std::string type_of(const json& step, const char* what) {
  if (!step.is_object() || !step.contains("type") || !step.at("type").is_string()) refuse(what, step);
  return step.at("type").get<std::string>();
}

std::string text_field(const json& step, const char* field, const char* what) {
  if (!step.contains(field) || !step.at(field).is_string()) refuse(what, step);
  return step.at(field).get<std::string>();
}

bool flag_field(const json& step, const char* field, bool fallback, const char* what) {
  if (!step.contains(field)) return fallback;
  if (!step.at(field).is_boolean()) refuse(what, step);
  return step.at(field).get<bool>();
}

const json& list_field(const json& step, const char* field, const char* what) {
  if (!step.contains(field) || !step.at(field).is_array() || step.at(field).size() > most_steps)
    refuse(what, step);
  return step.at(field);
}

UnicodePattern pattern_field(const json& step, const char* what) {
  if (!step.contains("pattern") || !step.at("pattern").is_object()) refuse(what, step);
  const json& pattern = step.at("pattern");
  if (pattern.contains("String")) return UnicodePattern::literal(text_field(pattern, "String", what));
  return UnicodePattern(text_field(pattern, "Regex", what));
}

/// Calls take(piece, whether it is a match) for each match and each stretch between two.
template <class Take>
void cut(const UnicodePattern& pattern, std::string_view text, const Take& take) {
  std::size_t begin = 0;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = pattern.find(text, from);
    if (!match) break;
    if (match->second == match->first) {  // of nothing: go on behind the next character
      from = match->second + 1;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0U) == 0x80U) ++from;
      continue;
    }
    if (match->first > begin) take(text.substr(begin, match->first - begin), false);
    take(text.substr(match->first, match->second - match->first), true);
    begin = from = match->second;
  }
  if (begin < text.size()) take(text.substr(begin), false);
}

std::vector<std::string> isolated(const UnicodePattern& pattern, std::string_view text) {
  std::vector<std::string> out;
  cut(pattern, text, [&](std::string_view piece, bool) { out.emplace_back(piece); });
  return out;
}

Normalizer normalizer_of(const json& step, int depth) {
  constexpr const char* what = "normalizer";
  if (step.is_null()) return [](std::string text) { return text; };
  const std::string type = type_of(step, what);
  if (depth > deepest) refuse(what, step);
  if (type == "Sequence") {
    std::vector<Normalizer> steps;
    for (const json& one : list_field(step, "normalizers", what))
      steps.push_back(normalizer_of(one, depth + 1));
    return [steps = std::move(steps)](std::string text) {
      for (const Normalizer& one : steps) text = one(std::move(text));
      return text;
    };
  }
  if (type == "Prepend") {
    return [front = text_field(step, "prepend", what)](const std::string& text) {
      return text.empty() ? text : front + text;
    };
  }
  if (type == "Replace") {
    return [pattern = pattern_field(step, what),
            by = text_field(step, "content", what)](const std::string& text) {
      std::string out;
      cut(pattern, text,
          [&](std::string_view piece, bool match) { out += match ? std::string_view(by) : piece; });
      return out;
    };
  }
  refuse(what, step);
}

PreTokenizer split_of(const json& step) {
  constexpr const char* what = "pre_tokenizer";
  const std::string behavior = text_field(step, "behavior", what);
  const bool invert = flag_field(step, "invert", false, what);
  if (behavior != "Isolated" && behavior != "Removed") refuse(what, step);
  return [pattern = pattern_field(step, what), removes = behavior == "Removed", invert](std::string_view text,
                                                                                        bool) {
    std::vector<std::string> out;
    cut(pattern, text, [&](std::string_view piece, bool match) {
      if (!removes || match == invert) out.emplace_back(piece);
    });
    return out;
  };
}

PreTokenizer byte_level_of(const json& step) {
  constexpr const char* what = "pre_tokenizer";
  const bool prefix = flag_field(step, "add_prefix_space", true, what);
  const bool words = flag_field(step, "use_regex", true, what);
  return [prefix, words, pattern = UnicodePattern(gpt2_words)](std::string_view text, bool) {
    const bool add = prefix && !text.starts_with(' ');
    const std::string whole = (add ? " " : "") + std::string(text);
    std::vector<std::string> out = words ? isolated(pattern, whole) : std::vector<std::string>{whole};
    for (std::string& word : out) word = byte_level(word);
    return out;
  };
}

PreTokenizer metaspace_of(const json& step) {
  constexpr const char* what = "pre_tokenizer";
  const std::string mark =
      step.contains("replacement") ? text_field(step, "replacement", what) : std::string(space_mark);
  std::string scheme = flag_field(step, "add_prefix_space", true, what) ? "always" : "never";
  if (step.contains("prepend_scheme")) scheme = text_field(step, "prepend_scheme", what);
  const bool split = flag_field(step, "split", true, what);
  if (mark.empty() || (scheme != "always" && scheme != "first" && scheme != "never")) refuse(what, step);
  return [mark, scheme, split, space = UnicodePattern::literal(" ")](std::string_view text, bool at_start) {
    std::string whole;
    cut(space, text,
        [&](std::string_view piece, bool match) { whole += match ? std::string_view(mark) : piece; });
    if ((scheme == "always" || (scheme == "first" && at_start)) && !whole.starts_with(mark))
      whole = mark + whole;
    if (!split) return std::vector<std::string>{whole};
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin < whole.size();) {
      const std::size_t end = std::min(whole.find(mark, begin + 1), whole.size());
      out.push_back(whole.substr(begin, end - begin));
      begin = end;
    }
    return out;
  };
}

PreTokenizer pre_tokenizer_of(const json& step, int depth) {
  constexpr const char* what = "pre_tokenizer";
  if (step.is_null())
    return [](std::string_view text, bool) { return std::vector<std::string>{std::string(text)}; };
  const std::string type = type_of(step, what);
  if (depth > deepest) refuse(what, step);
  if (type == "Sequence") {
    std::vector<PreTokenizer> steps;
    for (const json& one : list_field(step, "pretokenizers", what))
      steps.push_back(pre_tokenizer_of(one, depth + 1));
    return [steps = std::move(steps)](std::string_view text, bool at_start) {
      std::vector<std::string> words = {std::string(text)};
      for (const PreTokenizer& one : steps) {
        std::vector<std::string> next;
        for (std::size_t i = 0; i < words.size(); ++i) {
          for (std::string& word : one(words[i], at_start && i == 0)) next.push_back(std::move(word));
        }
        words = std::move(next);
      }
      return words;
    };
  }
  if (type == "Split") return split_of(step);
  if (type == "ByteLevel") return byte_level_of(step);
  if (type == "Metaspace") return metaspace_of(step);
  if (type == "Digits") {
    const bool single = flag_field(step, "individual_digits", false, what);
    return [pattern = UnicodePattern(single ? "\\p{N}" : "\\p{N}+")](std::string_view text, bool) {
      return isolated(pattern, text);
    };
  }
  refuse(what, step);
}

}  // namespace

const char* const gpt2_words =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

std::string byte_level(std::string_view bytes) {
  static const std::array<std::string, 256> characters = [] {
    std::array<std::string, 256> out;
    unsigned others = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool kept = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const unsigned point = kept ? byte : 256 + others++;
      if (point < 0x80) {
        out[byte] = static_cast<char>(point);
      } else {
        out[byte] = {static_cast<char>(0xC0U | point >> 6U), static_cast<char>(0x80U | (point & 0x3FU))};
      }
    }
    return out;
  }();
  std::string out;
  for (const char c : bytes) out += characters[static_cast<unsigned char>(c)];
  return out;
}

Normalizer make_normalizer(const json& step) { return normalizer_of(step, 0); }
PreTokenizer make_pre_tokenizer(const json& step) { return pre_tokenizer_of(step, 0); }

}  // namespace galatea
