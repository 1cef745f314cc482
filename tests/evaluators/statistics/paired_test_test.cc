#include "evaluators/statistics/paired_test.h"

#include <cmath>
#include <vector>

#include "evaluators/statistics/special_functions.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(PairedTestTest, CountsPairsAndLeavesFractionsOut) {
  ASSERT_OK_AND_ASSIGN(
      const PairedCounts counts,
      CountPairs({1, 1, 1, 0, 0, 0.5, 1}, {1, 0, 0, 1, 0, 1, 0.25}));
  EXPECT_EQ(counts.both_right, 1u);
  EXPECT_EQ(counts.only_first, 2u);
  EXPECT_EQ(counts.only_second, 1u);
  EXPECT_EQ(counts.both_wrong, 1u);
  EXPECT_EQ(counts.left_out, 2u);
  EXPECT_DOUBLE_EQ(counts.flip_rate(), 3.0 / 5);
}

TEST(PairedTestTest, BadScoresAreNamed) {
  EXPECT_THAT(CountPairs({1, 0}, {1, NAN}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 1 has the score nan")));
  EXPECT_THAT(CountPairs({2}, {1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("item 0 has the score 2")));
  EXPECT_THAT(CountPairs({1}, {1, 1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 of the first, 2 of the second")));
  EXPECT_THAT(CountPairs({}, {}), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("no items")));
}

TEST(PairedTestTest, McNemarByHand) {
  // One of six: (1 + 6) of 64 on either side; mid-p takes the 6 away.
  const McNemarTest test = TestMcNemar({.only_first = 5, .only_second = 1});
  EXPECT_NEAR(test.exact_p, 14.0 / 64, 1e-14);
  EXPECT_NEAR(test.mid_p, 8.0 / 64, 1e-14);
  // (4 - 1)^2 / 6.
  EXPECT_NEAR(test.chi_square, 1.5, 1e-14);
  EXPECT_NEAR(test.chi_square_p, std::erfc(std::sqrt(0.75)), 1e-14);
}

TEST(PairedTestTest, McNemarFindsNothingInEqualCounts) {
  for (uint64_t b : {0u, 1u, 8u, 5000u}) {
    const McNemarTest test = TestMcNemar({.only_first = b, .only_second = b});
    EXPECT_EQ(test.exact_p, 1);
    EXPECT_NEAR(test.mid_p, 1, 1e-12);
    EXPECT_EQ(test.chi_square, 0);
    EXPECT_EQ(test.chi_square_p, 1);
  }
}

TEST(PairedTestTest, McNemarsTestsAgreeForManyFlips) {
  const McNemarTest test =
      TestMcNemar({.only_first = 5200, .only_second = 4900});
  EXPECT_NEAR(test.exact_p, test.chi_square_p, 1e-4);
  EXPECT_LT(test.mid_p, test.exact_p);
}

TEST(PairedTestTest, DifferenceOfCountsIsThatOfScores) {
  std::vector<double> first;
  std::vector<double> second;
  const auto add = [&](int count, double a, double b) {
    first.insert(first.end(), count, a);
    second.insert(second.end(), count, b);
  };
  add(50, 1, 1), add(9, 1, 0), add(4, 0, 1), add(37, 0, 0);
  ASSERT_OK_AND_ASSIGN(const PairedCounts counts, CountPairs(first, second));
  const PairedDifference by_counts = DifferenceOfCounts(counts);
  EXPECT_DOUBLE_EQ(by_counts.mean, -0.05);
  EXPECT_DOUBLE_EQ(by_counts.error, std::sqrt(13 - 25.0 / 100) / 100);
  ASSERT_OK_AND_ASSIGN(const auto differences, Differences(first, second));
  ASSERT_OK_AND_ASSIGN(const PairedDifference by_scores,
                       DifferenceOfScores(differences));
  EXPECT_DOUBLE_EQ(by_scores.mean, by_counts.mean);
  EXPECT_DOUBLE_EQ(by_scores.error, by_counts.error);
}

TEST(PairedTestTest, UnpairedErrorIsThreeTimesTooLargeAtFourPercentFlips) {
  // HellaSwag's 10042 items, accuracy 3/4, 2 % flips each way.
  const PairedDifference paired = DifferenceOfCounts({.both_right = 7331,
                                                      .only_first = 201,
                                                      .only_second = 201,
                                                      .both_wrong = 2309});
  const double unpaired = std::sqrt(2 * 0.75 * 0.25 / 10041);
  EXPECT_NEAR(unpaired / paired.error, 3.06, 0.01);
}

TEST(PairedTestTest, PairedTByHand) {
  // Mean 2, deviations -1, 0, 1: error 1 / sqrt(3), t = 2 sqrt(3), 2 degrees:
  // p = 1 - t / sqrt(2 + t^2).
  ASSERT_OK_AND_ASSIGN(const PairedTTest test, TestPairedT({1, 2, 3}, {}));
  EXPECT_NEAR(test.t, 2 * std::sqrt(3.0), 1e-12);
  EXPECT_EQ(test.degrees, 2);
  EXPECT_NEAR(test.p, 1 - std::sqrt(12.0 / 14), 1e-12);
}

TEST(PairedTestTest, EqualClustersGiveTheTOfTheirMeans) {
  ASSERT_OK_AND_ASSIGN(const PairedTTest items,
                       TestPairedT({1, 0, 3, 2, -1, 4}, {0, 0, 1, 1, 2, 2}));
  ASSERT_OK_AND_ASSIGN(const PairedTTest means,
                       TestPairedT({0.5, 2.5, 1.5}, {}));
  EXPECT_NEAR(items.t, means.t, 1e-12);
  EXPECT_EQ(items.degrees, means.degrees);
  EXPECT_NEAR(items.p, means.p, 1e-12);
}

TEST(PairedTestTest, DegenerateDifferencesHaveDefinedT) {
  ASSERT_OK_AND_ASSIGN(const PairedTTest none, TestPairedT({0, 0}, {}));
  EXPECT_EQ(none.t, 0);
  EXPECT_EQ(none.p, 1);
  ASSERT_OK_AND_ASSIGN(const PairedTTest constant, TestPairedT({-1, -1}, {}));
  EXPECT_TRUE(std::isinf(constant.t) && constant.t < 0);
  EXPECT_EQ(constant.p, 0);
  EXPECT_THAT(
      TestPairedT({1, 2}, {3, 3}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two clusters")));
}

TEST(PairedTestTest, AnswersChangeBehindEqualScores) {
  ASSERT_OK_AND_ASSIGN(const double rate,
                       AnswerChangeRate({0, 1, 2, 3}, {0, 2, 1, 3}));
  EXPECT_EQ(rate, 0.5);
  EXPECT_THAT(AnswerChangeRate({0}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not the same items")));
}

}  // namespace
}  // namespace quantd
