#include "format/torch_serialization_id.h"

#include <gtest/gtest.h>

#include <functional>
#include <unordered_set>

namespace galatea {
namespace {

#if defined(__GLIBCXX__) && defined(__LP64__)
// The library itself is the oracle where it is the one galatea is built with.
TEST(SerializationId, HashAndOrderAreThoseOfTheLibrary) {
  std::vector<std::string> texts;
  std::unordered_set<std::string> set;
  for (std::size_t i = 0; i < 3000; ++i) {
    texts.push_back(std::string(i % 23, 'x') + std::to_string(i * 7919) + (i % 3 == 0 ? "\xFF" : ""));
    set.insert(texts.back());
    EXPECT_EQ(libstdcxx_hash(texts.back()), std::hash<std::string>{}(texts.back())) << texts.back();
    if (i > 300 && i % 97 != 0) continue;
    std::vector<std::string> listed;
    for (const std::size_t index : libstdcxx_set_order(texts)) listed.push_back(texts[index]);
    EXPECT_EQ(listed, std::vector<std::string>(set.begin(), set.end())) << i;
  }
}
#endif

TEST(SerializationId, HashesAsTheLibraryDoes) {
  EXPECT_EQ(libstdcxx_hash("data.pkl"), 0x44943D565847B09EU);
  EXPECT_EQ(libstdcxx_hash(""), 0x553E93901E462A6EU);
}

TEST(SerializationId, OfNothingIsZeros) {
  EXPECT_EQ(torch_serialization_id({}, {}), std::string(40, '0'));
  EXPECT_TRUE(libstdcxx_set_order({}).empty());
}

}  // namespace
}  // namespace galatea
