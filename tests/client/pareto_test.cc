#include "client/pareto.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using Points = std::vector<ParetoPoint>;

constexpr auto kAlways = [](size_t, size_t) -> absl::StatusOr<bool> {
  return true;
};
constexpr auto kNever = [](size_t, size_t) -> absl::StatusOr<bool> {
  return false;
};

std::vector<std::string> Names(
    const absl::StatusOr<std::vector<ParetoStanding>>& standings) {
  EXPECT_TRUE(standings.ok()) << standings.status();
  std::vector<std::string> names;
  if (!standings.ok()) return names;
  for (const ParetoStanding& standing : *standings) {
    names.push_back(StandingName(standing.standing));
  }
  return names;
}

TEST(ParetoTest, TheFrontIsWhatNothingBeats) {
  const Points points = {{2, 8}, {3, 4}, {3, 5}, {4, 1}, {4.5, 1.5}, {1, 9}};
  EXPECT_THAT(Names(StandingsOf(points, kAlways)),
              ElementsAre("front", "front", "dominated", "front", "dominated",
                          "front"));
}

TEST(ParetoTest, WhatIsNotSignificantlyWorseIsTied) {
  const Points points = {{2, 8}, {3, 4}, {3, 5}, {4, 4.5}};
  EXPECT_THAT(Names(StandingsOf(points, kNever)),
              ElementsAre("front", "front", "tied", "tied"));
}

TEST(ParetoTest, EqualPointsShareTheFront) {
  EXPECT_THAT(Names(StandingsOf(Points{{3, 4}, {3, 4}, {2, 9}}, kAlways)),
              ElementsAre("front", "front", "front"));
}

TEST(ParetoTest, EqualLossAtHigherCostIsTiedNeverDominated) {
  EXPECT_THAT(Names(StandingsOf(Points{{2, 4}, {3, 4}}, kAlways)),
              ElementsAre("front", "tied"));
}

TEST(ParetoTest, DominationNamesTheBestPointThatIsSignificantlyBetter) {
  std::vector<std::pair<size_t, size_t>> asked;
  const auto standings =
      StandingsOf(Points{{1, 5}, {2, 3}, {3, 4}, {2.5, 9}},
                  [&](size_t better, size_t worse) -> absl::StatusOr<bool> {
                    asked.emplace_back(better, worse);
                    return better != 1;
                  });
  ASSERT_TRUE(standings.ok());
  EXPECT_EQ((*standings)[2].standing, Standing::kTied);
  EXPECT_EQ((*standings)[3].standing, Standing::kDominated);
  EXPECT_EQ((*standings)[3].dominated_by, 0u);
  EXPECT_FALSE((*standings)[2].dominated_by.has_value());
  // Best first, and nothing more costly.
  EXPECT_THAT(asked, ElementsAre(Pair(1, 2), Pair(1, 3), Pair(0, 3)));
}

// Costs within 1 of each other are the same as far as anyone can tell.
TEST(ParetoTest, MeasuredCostsThatAreAsGoodAsEqualDominateToo) {
  const Points points = {{10, 1}, {9.5, 5}, {8, 6}, {10.5, 2}, {9.9, 1.1}};
  const auto within = [&](size_t a, size_t b) {
    return points[a].cost <= points[b].cost + 1;
  };
  EXPECT_THAT(
      Names(StandingsOf(points, within, kAlways)),
      ElementsAre("front", "dominated", "front", "dominated", "dominated"));
  // Not significantly worse: what nothing beats by its numbers stays in front.
  EXPECT_THAT(Names(StandingsOf(points, within, kNever)),
              ElementsAre("front", "front", "front", "tied", "front"));
  // Where it cannot be told that any costs at most the other, none dominates.
  EXPECT_THAT(Names(StandingsOf(
                  points, [](size_t, size_t) { return false; }, kAlways)),
              ElementsAre("front", "front", "front", "tied", "front"));
}

TEST(ParetoTest, NumbersThatAreNotFiniteAreRefused) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const ParetoPoint& wrong :
       Points{{std::nan(""), 1}, {1, std::nan("")}, {1, infinity}}) {
    const auto standings = StandingsOf(Points{{1, 1}, wrong}, kAlways);
    EXPECT_TRUE(absl::IsInvalidArgument(standings.status()));
    EXPECT_THAT(standings.status().message(), HasSubstr("point 1 "));
  }
}

TEST(ParetoTest, NoPointsHaveNoStandingsAndErrorsComeThrough) {
  EXPECT_THAT(Names(StandingsOf(Points{}, kAlways)), IsEmpty());
  const auto failed = StandingsOf(Points{{1, 1}, {1, 2}},
                                  [](size_t, size_t) -> absl::StatusOr<bool> {
                                    return absl::UnavailableError("gone");
                                  });
  EXPECT_TRUE(absl::IsUnavailable(failed.status()));
}

TEST(IsLowerTest, TheIntervalOfTheDifferenceDecides) {
  // Errors 3 and 4 make 5; the 95 % point of the normal is 1.6449.
  const MeanWithError b = {10, 4};
  EXPECT_TRUE(*IsLower({10 - 5 * 1.65, 3}, b, 0.05));
  EXPECT_FALSE(*IsLower({10 - 5 * 1.64, 3}, b, 0.05));
  EXPECT_FALSE(*IsLower({20, 0}, b, 0.05));
  // Without errors any difference counts, and none does not.
  EXPECT_TRUE(*IsLower({1, 0}, {1.5, 0}, 0.05));
  EXPECT_FALSE(*IsLower({1, 0}, {1, 0}, 0.05));
}

TEST(IsLowerTest, NanAndWrongErrorsAreRefused) {
  EXPECT_FALSE(IsLower({std::nan(""), 0}, {1, 0}, 0.05).ok());
  EXPECT_FALSE(IsLower({1, 0}, {1, std::nan("")}, 0.05).ok());
  EXPECT_FALSE(IsLower({1, -1}, {1, 0}, 0.05).ok());
  EXPECT_FALSE(IsLower({1, 1}, {1, 1}, 0.0).ok());
  EXPECT_FALSE(IsLower({1, 1}, {1, 1}, std::nan("")).ok());
}

TEST(NormalUpperQuantileTest, AgreesWithTables) {
  EXPECT_NEAR(NormalUpperQuantile(0.5), 0, 1e-12);
  EXPECT_NEAR(NormalUpperQuantile(0.05), 1.6448536269514722, 1e-12);
  EXPECT_NEAR(NormalUpperQuantile(0.025), 1.959963984540054, 1e-12);
  EXPECT_NEAR(NormalUpperQuantile(1e-10), 6.361340902404056, 1e-9);
}

TEST(StudentUpperQuantileTest, AgreesWithTables) {
  EXPECT_NEAR(StudentUpperQuantile(0.05, 1), 6.313751514675043, 1e-9);
  EXPECT_NEAR(StudentUpperQuantile(0.05, 2), 2.919985580353726, 1e-10);
  EXPECT_NEAR(StudentUpperQuantile(0.05, 8), 1.859548037530898, 1e-10);
  EXPECT_NEAR(StudentUpperQuantile(0.025, 3), 3.182446305283709, 1e-10);
  EXPECT_NEAR(StudentUpperQuantile(0.025, 30), 2.042272456301238, 1e-10);
  EXPECT_NEAR(StudentUpperQuantile(0.001, 5), 5.893429531356009, 1e-8);
  EXPECT_NEAR(StudentUpperQuantile(0.5, 7), 0, 1e-12);
  EXPECT_NEAR(StudentUpperQuantile(0.05, 1000), NormalUpperQuantile(0.05),
              2e-3);
}

}  // namespace
}  // namespace quantd::test
