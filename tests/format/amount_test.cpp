#include "format/amount.h"

#include <gtest/gtest.h>

#include <limits>

namespace galatea {
namespace {

TEST(Amount, BytesTakeTheUnitThatFits) {
  EXPECT_EQ(amount(0, "B"), "0 B");
  EXPECT_EQ(amount(999, "B"), "999 B");
  EXPECT_EQ(amount(1000, "B"), "1.0 kB");
  EXPECT_EQ(amount(999'940, "B"), "999.9 kB");
  EXPECT_EQ(amount(999'950, "B"), "1.0 MB");
  EXPECT_EQ(amount(26'031'738'880.0, "B"), "26.0 GB");
  EXPECT_EQ(amount(1e16, "B"), "10000.0 TB");
}

TEST(Amount, OtherUnitsAreWrittenInFull) {
  EXPECT_EQ(amount(0, "tok"), "0 tok");
  EXPECT_EQ(amount(2.5, "tok"), "2.5 tok");
  EXPECT_EQ(amount(9.96, "tok"), "10 tok");
  EXPECT_EQ(amount(999, "tok"), "999 tok");
  EXPECT_EQ(amount(341'469, "tok"), "341,469 tok");
  EXPECT_EQ(amount(1'234'567, ""), "1,234,567");
}

TEST(Amount, DurationsGrowFromSecondsToHours) {
  EXPECT_EQ(duration(0.04), "0.0 s");
  EXPECT_EQ(duration(2.44), "2.4 s");
  EXPECT_EQ(duration(9.96), "10 s");
  EXPECT_EQ(duration(59.4), "59 s");
  EXPECT_EQ(duration(59.6), "1:00");
  EXPECT_EQ(duration(75), "1:15");
  EXPECT_EQ(duration(7389), "2:03:09");
}

TEST(Amount, WhatIsNoAmountIsZero) {
  EXPECT_EQ(amount(std::numeric_limits<double>::quiet_NaN(), "B"), "0 B");
  EXPECT_EQ(amount(-5, "tok"), "0 tok");
  EXPECT_EQ(duration(std::numeric_limits<double>::quiet_NaN()), "0.0 s");
  EXPECT_FALSE(duration(std::numeric_limits<double>::infinity()).empty());
  EXPECT_FALSE(amount(std::numeric_limits<double>::max(), "tok").empty());
}

}  // namespace
}  // namespace galatea
