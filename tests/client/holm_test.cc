#include "client/holm.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(HolmTest, StepsDownThroughTheSortedValues) {
  // 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which may not fall below 0.06.
  const auto adjusted = HolmAdjust({0.01, 0.04, 0.03, 0.005});
  ASSERT_TRUE(adjusted.ok());
  EXPECT_THAT(*adjusted,
              ElementsAre(DoubleNear(0.03, 1e-15), DoubleNear(0.06, 1e-15),
                          DoubleNear(0.06, 1e-15), DoubleNear(0.02, 1e-15)));
}

TEST(HolmTest, NothingExceedsOneAndOneTestIsLeftAlone) {
  EXPECT_THAT(*HolmAdjust({0.9, 0.8}), ElementsAre(1, 1));
  EXPECT_THAT(*HolmAdjust({0.2}), ElementsAre(0.2));
  EXPECT_THAT(*HolmAdjust({}), IsEmpty());
  EXPECT_THAT(*HolmAdjust({0.0, 1.0}), ElementsAre(0, 1));
}

TEST(HolmTest, WhatIsNoPValueIsRefused) {
  for (const double wrong :
       {-0.1, 1.1, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_TRUE(absl::IsInvalidArgument(HolmAdjust({0.5, wrong}).status()))
        << wrong;
  }
}

}  // namespace
}  // namespace quantd::test
