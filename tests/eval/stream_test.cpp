// The streams that published perplexities were computed on, from the files that they come in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "eval/corpus.h"
#include "eval/token_stream.h"
#include "eval/tokenizer.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using Ids = std::vector<std::int32_t>;

/// Tokenizer.encode of transformers 4.28.1 (slow LlamaTokenizer) and SentencePiece 0.1.97 gave these numbers.
struct Expected {
  const char *data, *file;
  UnkRule rule;
  std::size_t tokens;
  std::int64_t unknown;
};

std::ostream& operator<<(std::ostream& out, const Expected& expected) {
  return out << expected.data << " " << unk_rule_names[static_cast<std::size_t>(expected.rule)];
}

class Streams : public testing::TestWithParam<Expected> {};

TEST_P(Streams, HaveTheTokensOfThePublishedRuns) {
  const Expected& expected = GetParam();
  GALATEA_SHARED_DATA_OR_SKIP(model, "tokenizer.model");
  GALATEA_SHARED_DATA_OR_SKIP(file, expected.file);
  const Corpus corpus = read_corpus(corpus_kind(expected.data), file);
  const TokenStream stream = tokenize(corpus, open_tokenizer(model, expected.rule), 2048);
  EXPECT_EQ(stream.ids.size(), expected.tokens);
  EXPECT_EQ(std::count(stream.ids.begin(), stream.ids.end(), 0), expected.unknown);
  EXPECT_EQ(std::count(stream.ids.begin(), stream.ids.end(), 1), 1) << "one BOS";
}

constexpr const char* c4 = "c4-validation-00000.first1025.jsonl";
INSTANTIATE_TEST_SUITE_P(
    Known, Streams,
    testing::Values(Expected{"wikitext2", "wiki.test.raw", UnkRule::no_strip, 341469, 0},
                    Expected{"wikitext2", "wiki.test.raw", UnkRule::legacy_false, 341469, 0},
                    Expected{"text", "wiki.test.raw", UnkRule::no_strip, 335688, 0},
                    Expected{"ptb-new", "ptb.test.txt", UnkRule::plain, 106965, 0},
                    Expected{"ptb-new", "ptb.test.txt", UnkRule::no_strip, 106527, 4794},
                    Expected{"ptb-new", "ptb.test.txt", UnkRule::strip, 97377, 4794},
                    Expected{"ptb-new", "ptb.test.txt", UnkRule::legacy_false, 102171, 4794},
                    Expected{"ptb", "ptb.valid.txt", UnkRule::plain, 101988, 0},
                    Expected{"ptb", "ptb.valid.txt", UnkRule::no_strip, 101549, 3485},
                    Expected{"ptb", "ptb.valid.txt", UnkRule::strip, 94200, 3485},
                    Expected{"ptb", "ptb.valid.txt", UnkRule::legacy_false, 98372, 3485},
                    Expected{"c4-new", c4, UnkRule::no_strip, 524288, 0}),
    [](const auto& test) {
      std::string name = std::string(test.param.data) + "_" +
                         std::string(unk_rule_names[static_cast<std::size_t>(test.param.rule)]);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(Corpus, JoinsRowsAsTheDataSetsDo) {
  struct Case {
    const char *data, *file, *sha256;
    std::size_t bytes;
    std::uint64_t rows;
  };
  const Case cases[] = {
      {"wikitext2", "wiki.test.raw", "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83",
       1296370, 4358},
      {"ptb-new", "ptb.test.txt", "900cfc61a7a63afcd086c5e1cce90554764eae65cb2ca9f5d4cac47be5f0f394", 442422,
       3761},
      {"ptb", "ptb.valid.txt", "352a9351af725c5d5d6ccdd38357a35ebfef8c79916364fdf458fa72a4fb91c3", 396410,
       3370},
  };
  for (const Case& c : cases) {
    GALATEA_SHARED_DATA_OR_SKIP(file, c.file);
    const Corpus corpus = read_corpus(corpus_kind(c.data), file);
    EXPECT_EQ(corpus.text.size(), c.bytes) << c.data;
    EXPECT_EQ(corpus.rows, c.rows) << c.data;
    EXPECT_EQ(corpus.text_sha256, c.sha256) << c.data;
    EXPECT_EQ(corpus.published(), true) << c.data;
  }
}

TEST(Streams, WikitextHasThePublishedDigest) {
  GALATEA_SHARED_DATA_OR_SKIP(model, "tokenizer.model");
  GALATEA_SHARED_DATA_OR_SKIP(file, "wiki.test.raw");
  const Tokenizer tokenizer = open_tokenizer(model);
  const TokenStream stream = tokenize(read_corpus(corpus_kind("wikitext2"), file), tokenizer, 2048);
  EXPECT_EQ(stream.sha256, "9b69cd50dbe9e29f2d40f999f103fbe4b0ff014ec4f9fdae094c687ca1af6f92");
  EXPECT_EQ(
      Ids(stream.ids.begin(), stream.ids.begin() + 32),
      (Ids{1,    29871, 13,   13,  353, 4755, 350,  5059, 357,  353,   29871, 13,    13,    13,  13,  13,
           4755, 350,   5059, 357, 338, 385,  4223, 2706, 1919, 11456, 322,   24520, 11339, 869, 940, 750}));
  const TokenStream raw = tokenize(read_corpus(corpus_kind("text"), file), tokenizer, 2048);
  EXPECT_EQ(raw.sha256, "a10b63902928d4b9b8bc1e93c670792d2dcf098f9b9061534eda56bfc8ffc8df");
}

TEST(Streams, TreebankAndC4StartAsPublished) {
  GALATEA_SHARED_DATA_OR_SKIP(model, "tokenizer.model");
  GALATEA_SHARED_DATA_OR_SKIP(treebank, "ptb.test.txt");
  GALATEA_SHARED_DATA_OR_SKIP(documents, c4);
  const Tokenizer tokenizer = open_tokenizer(model);
  const TokenStream ptb = tokenize(read_corpus(corpus_kind("ptb-new"), treebank), tokenizer, 2048);
  EXPECT_EQ(Ids(ptb.ids.begin(), ptb.ids.begin() + 32),
            (Ids{1,    694,   372,  471,   302, 29915, 29873, 4628, 7398, 388,   541,
                 1550, 278,   716,  343,   548, 10961, 14523, 1258, 302,  29915, 29873,
                 6416, 12435, 1424, 22394, 408, 278,   16611, 432,  2873, 18408}));
  const TokenStream c4_new = tokenize(read_corpus(corpus_kind("c4-new"), documents), tokenizer, 2048);
  EXPECT_EQ(Ids(c4_new.ids.begin(), c4_new.ids.begin() + 32),
            (Ids{1,     450, 6114,  1058,  6423, 1156,  20327, 515, 263, 12945, 975,
                 278,   319, 29906, 29896, 756,  1063,  15659, 408, 263, 26647, 29877,
                 10327, 286, 398,   29889, 13,   15838, 29874, 476, 355, 280}));
}

TEST(Streams, C4KeepsWindowsOfTheContextAskedFor) {
  GALATEA_SHARED_DATA_OR_SKIP(model, "tokenizer.model");
  GALATEA_SHARED_DATA_OR_SKIP(documents, c4);
  const Corpus corpus = read_corpus(corpus_kind("c4-new"), documents);
  EXPECT_EQ(tokenize(corpus, open_tokenizer(model), 128).ids.size(), 256U * 128U);
}

/// As the paragraphs on legacy=False in transformers 4.31 to 4.33 have it.
TEST(LegacyFalse, NoSpaceIsPutBehindSpecialTokens) {
  GALATEA_SHARED_DATA_OR_SKIP(model, "tokenizer.model");
  const Tokenizer tokenizer = open_tokenizer(model, UnkRule::legacy_false);
  EXPECT_EQ(tokenizer.encode("<unk> the"), (Ids{1, 0, 278})) << "nor a lone mark before a special token";
  EXPECT_EQ(tokenizer.encode("a <unk> the"), (Ids{1, 263, 29871, 0, 278}));
  EXPECT_EQ(tokenizer.encode("a<unk>the"), (Ids{1, 263, 0, 1552}));
  EXPECT_EQ(open_tokenizer(model).encode("<unk> the"), (Ids{1, 0, 29871, 278}));
}

}  // namespace
}  // namespace galatea
