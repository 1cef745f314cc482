#include "base/multiplicity.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto Near(double value) { return DoubleNear(value, 1e-14); }

TEST(MultiplicityTest, HolmByHand) {
  // Rising: .01 * 4, .02 * 3, .03 * 2, .4; the third is lifted by the second.
  ASSERT_OK_AND_ASSIGN(const auto adjusted,
                       HolmAdjusted({0.03, 0.4, 0.01, 0.02}));
  EXPECT_THAT(adjusted,
              ElementsAre(Near(0.06), Near(0.4), Near(0.04), Near(0.06)));
}

TEST(MultiplicityTest, HolmStepsDownThroughTheSortedValues) {
  // 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which may not fall below 0.06.
  ASSERT_OK_AND_ASSIGN(const auto adjusted,
                       HolmAdjusted({0.01, 0.04, 0.03, 0.005}));
  EXPECT_THAT(adjusted,
              ElementsAre(Near(0.03), Near(0.06), Near(0.06), Near(0.02)));
}

TEST(MultiplicityTest, HolmExceedsNoOneAndLeavesOneTestAlone) {
  EXPECT_THAT(*HolmAdjusted({0.9, 0.8}), ElementsAre(1, 1));
  EXPECT_THAT(*HolmAdjusted({0.2}), ElementsAre(0.2));
  EXPECT_THAT(*HolmAdjusted({0.0, 1.0}), ElementsAre(0, 1));
}

TEST(MultiplicityTest, BenjaminiHochbergByHand) {
  // Rising: .01 * 4 / 1, .02 * 4 / 2, .03 * 4 / 3 (all .04), .4.
  ASSERT_OK_AND_ASSIGN(const auto adjusted,
                       BenjaminiHochbergAdjusted({0.03, 0.4, 0.01, 0.02}));
  EXPECT_THAT(adjusted,
              ElementsAre(Near(0.04), Near(0.4), Near(0.04), Near(0.04)));
  // The largest of a family is never below itself, nor above 1.
  ASSERT_OK_AND_ASSIGN(const auto large, BenjaminiHochbergAdjusted({0.9, 1.0}));
  EXPECT_THAT(large, ElementsAre(1.0, 1.0));
}

TEST(MultiplicityTest, TiesStayTies) {
  ASSERT_OK_AND_ASSIGN(const auto holm, HolmAdjusted({0.02, 0.02, 0.5}));
  EXPECT_THAT(holm, ElementsAre(Near(0.06), Near(0.06), Near(0.5)));
  ASSERT_OK_AND_ASSIGN(const auto bh,
                       BenjaminiHochbergAdjusted({0.02, 0.02, 0.5}));
  EXPECT_THAT(bh, ElementsAre(Near(0.03), Near(0.03), Near(0.5)));
}

TEST(MultiplicityTest, SmallFamilies) {
  ASSERT_OK_AND_ASSIGN(const auto none, HolmAdjusted({}));
  EXPECT_THAT(none, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto one, BenjaminiHochbergAdjusted({0.3}));
  EXPECT_THAT(one, ElementsAre(0.3));
}

TEST(MultiplicityTest, RefusesWhatIsNoPValue) {
  EXPECT_THAT(HolmAdjusted({0.1, NAN}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("test 1 has the p value nan")));
  for (const double wrong :
       {-0.1, 1.1, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_TRUE(absl::IsInvalidArgument(HolmAdjusted({0.5, wrong}).status()))
        << wrong;
  }
  EXPECT_THAT(
      BenjaminiHochbergAdjusted({1.1}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("test 0")));
}

}  // namespace
}  // namespace quantd
