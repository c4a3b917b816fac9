#include "format/crc_stretches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "format/crc32.h"

namespace galatea {
namespace {

TEST(CrcStretches, PiecesInAnyOrderGiveTheWhole) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7 % 251);
  const auto bytes = std::as_bytes(std::span(text));
  std::mt19937 generator(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::size_t> cuts = {0, bytes.size()};
    for (int i = 0; i < 9; ++i) cuts.push_back(generator() % bytes.size());
    std::sort(cuts.begin(), cuts.end());
    std::vector<std::size_t> order(cuts.size() - 1);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), generator);
    CrcStretches stretches;
    for (const std::size_t i : order) {
      const auto part = bytes.subspan(cuts[i], cuts[i + 1] - cuts[i]);
      if (!part.empty()) {
        EXPECT_LT(stretches.gap(bytes.size()).first, stretches.gap(bytes.size()).second);
      }
      stretches.add(cuts[i], cuts[i + 1], crc32_of(part));
      stretches.add(cuts[i], cuts[i + 1], 0xBADC0DE);  // known already: not taken
    }
    EXPECT_GE(stretches.gap(bytes.size()).first, stretches.gap(bytes.size()).second);
    EXPECT_EQ(stretches.whole(), crc32_of(bytes));
  }
}

TEST(CrcStretches, OfNothing) {
  const CrcStretches stretches;
  EXPECT_EQ(stretches.whole(), 0U);
  EXPECT_EQ(stretches.gap(5), (std::pair<std::uint64_t, std::uint64_t>{0, 5}));
}

}  // namespace
}  // namespace galatea
