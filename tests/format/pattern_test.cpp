#include "format/pattern.h"

#include <gtest/gtest.h>

#include <string>

#include "format/error.h"

namespace galatea {
namespace {

struct Case {
  const char *pattern, *text;
  bool matches;  ///< re.fullmatch of Python 3.11
};

TEST(Pattern, matches_as_pythons_fullmatch) {
  for (const Case& one : {
           Case{"", "", true},
           {"", "a", false},
           {"q_proj", "q_proj", true},
           {"q_proj", "xq_proj", false},
           {R"((.*\.)?(q_proj)$)", "model.layers.0.self_attn.q_proj", true},
           {R"((.*\.)?(q_proj)$)", "model.layers.0.self_attn.xq_proj", false},
           {R"((.*\.)?(^q_proj)$)", "self_attn.q_proj", false},
           {R"((.*\.)?(^q_proj)$)", "q_proj", true},
           {R"(.*\.layers\.(1[0-9]|2\d)\..*(up|gate)_proj)", "model.layers.17.mlp.gate_proj", true},
           {R"(.*\.layers\.(1[0-9]|2\d)\..*(up|gate)_proj)", "model.layers.7.mlp.gate_proj", false},
           {"a{2,3}", "a", false},
           {"a{2,3}", "aaa", true},
           {"a{2,3}", "aaaa", false},
           {"a{2,}b?", "aaaaab", true},
           {"a{,2}", "", true},
           {"a{,2}", "aaa", false},
           {"a{0}", "", true},
           {"a{0}", "a", false},
           {"a{x}", "a{x}", true},
           {"(a*)*", "aaaa", true},
           {"(a*)+b", "aaaa", false},
           {"(a|b|)c+?", "cc", true},
           {"(?:ab)+", "ababab", true},
           {"(?P<n>ab)c", "abc", true},
           {"[^.]*", "abc", true},
           {"[^.]*", "a.c", false},
           {"[]a]+", "a]a", true},
           {"[a-c-]+", "b-", true},
           {R"([\w.]+)", "a_1.b", true},
           {R"(\D\S\W)", "ab ", true},
           {R"(\x41\.)", "A.", true},
           {".", "\n", false},
           {R"(\bab\b.\Bb)", "ab bb", false},
           {R"(\bab\b.b\Bb)", "ab bb", true},
           {R"((?!.*visual).*(q|v)_proj)", "model.q_proj", true},
           {R"((?!.*visual).*(q|v)_proj)", "visual.q_proj", false},
           {R"((?=.*7).*)", "a7b", true},
           {R"((?=.*7).*)", "ab", false},
       }) {
    EXPECT_EQ(Pattern(one.pattern).matches(one.text), one.matches) << one.pattern << " on " << one.text;
  }
}

TEST(Pattern, is_found_as_pythons_search_finds_it) {
  const Case cases[] = {{"attn_q", "blk.1.attn_q.weight", true},
                        {"^attn_q", "blk.1.attn_q.weight", false},
                        {"weight$", "blk.1.attn_q.weight", true},
                        {"\\.[23]\\.", "blk.1.attn_q.weight", false},
                        {"", "", true},
                        {"x", "", false},
                        {"\\bq\\b", "attn_q q", true},
                        {"q(?=_)", "attn_q", false},
                        {"(a|b)c$", "aac", true}};
  for (const Case& one : cases)
    EXPECT_EQ(Pattern(one.pattern).found_in(one.text), one.matches) << one.pattern << " in " << one.text;
}

TEST(Pattern, refuses_what_it_does_not_know) {
  for (const char* const pattern :
       {"(", ")", "a)", "[a", "*a", "a**b(", "(?<=a)b", "(?i)a", R"((a)\1)", "a\\", R"(\x4)", "[z-a]",
        "a{3,2}", "a++", "(?=(?=a))", "(?P<a",
        "((((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))))",
        "((((a{100}){100}){100}){100})", R"(\p{L})"}) {
    EXPECT_THROW(Pattern{pattern}, Error) << pattern;
  }
}

TEST(Pattern, patterns_that_blow_up_elsewhere_take_no_time_here) {
  const std::string text(5000, 'a');
  EXPECT_FALSE(Pattern("(a+)+b").matches(text));
  EXPECT_FALSE(Pattern("(a|a)*b").matches(text));
  EXPECT_FALSE(Pattern("(.*)*(.*)*(.*)*b").matches(text));
  EXPECT_TRUE(Pattern("(a?){50}a{50}a*").matches(text));
}

}  // namespace
}  // namespace galatea
