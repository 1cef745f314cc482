#include "evaluators/statistics/power.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(PowerTest, FourPercentOfFlipsNeed3140Items) {
  // (1.95996 + 0.84162)^2 * 0.04 / 0.01^2 = 7.8489 * 400 = 3139.6.
  ASSERT_OK_AND_ASSIGN(const uint64_t items, NeededItems(0.04, 0.01, {}));
  EXPECT_EQ(items, 3140u);
  ASSERT_OK_AND_ASSIGN(const double effect,
                       MinimumDetectableEffect(0.04, items, {}));
  EXPECT_LE(effect, 0.01);
  EXPECT_NEAR(effect, 0.01, 1e-5);
}

TEST(PowerTest, OneSideNeedsFewer) {
  // (1.64485 + 0.84162)^2 = 6.18256, times 400.
  ASSERT_OK_AND_ASSIGN(const uint64_t items,
                       NeededItems(0.04, -0.01, {.sides = Sides::kOne}));
  EXPECT_EQ(items, 2474u);
}

TEST(PowerTest, CopaCannotShowAPoint) {
  ASSERT_OK_AND_ASSIGN(const double effect,
                       MinimumDetectableEffect(0.04, 100, {}));
  EXPECT_NEAR(effect, 2.80158 * 0.02, 1e-6);
}

TEST(PowerTest, RefusesWhatHasNoAnswer) {
  EXPECT_THAT(
      NeededItems(0.04, 0, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("effect 0")));
  EXPECT_THAT(NeededItems(0.04, 1e-12, {}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("items")));
  EXPECT_THAT(
      NeededItems(NAN, 0.1, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("variance nan")));
  EXPECT_THAT(
      MinimumDetectableEffect(std::numeric_limits<double>::infinity(), 5, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("variance inf")));
  EXPECT_THAT(
      MinimumDetectableEffect(1, 5, {.alpha = 0.9}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("alpha 0.9")));
  EXPECT_THAT(
      MinimumDetectableEffect(1, 0, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no items")));
  ASSERT_OK_AND_ASSIGN(const uint64_t items, NeededItems(0, 0.1, {}));
  EXPECT_EQ(items, 1u);
}

}  // namespace
}  // namespace quantd
