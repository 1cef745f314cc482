#include "evaluators/statistics/verdict.h"

#include <cmath>
#include <vector>

#include "evaluators/statistics/proportion.h"
#include "evaluators/statistics/special_functions.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

struct Pair {
  std::vector<double> first;
  std::vector<double> second;
};

// `lost`, `gained` and the other items right by both.
Pair Scores(int lost, int gained, int items) {
  Pair pair{std::vector<double>(items, 1), std::vector<double>(items, 1)};
  for (int i = 0; i < lost; ++i) pair.second[i] = 0;
  for (int i = lost; i < lost + gained; ++i) pair.first[i] = 0;
  return pair;
}

VerdictReport Judge(const Pair& pair, const VerdictOptions& options,
                    const std::vector<uint32_t>& clusters = {}) {
  const auto report = JudgeScores(pair.first, pair.second, clusters, options);
  EXPECT_TRUE(report.ok()) << report.status();
  return report.value_or(VerdictReport());
}

TEST(VerdictTest, DecidesByTheTable) {
  const double m = 0.01;
  EXPECT_EQ(Decide({-0.02, 0.009}, m, Sides::kOne), Verdict::kEquivalent);
  EXPECT_EQ(Decide({-0.02, 0.009}, m, Sides::kTwo), Verdict::kUndecided);
  EXPECT_EQ(Decide({-0.009, 0.009}, m, Sides::kTwo), Verdict::kEquivalent);
  // Surely lost, surely within the margin.
  EXPECT_EQ(Decide({0.002, 0.009}, m, Sides::kOne), Verdict::kEquivalent);
  EXPECT_EQ(Decide({0.002, 0.009}, m, Sides::kTwo), Verdict::kEquivalent);
  // Surely lost, perhaps beyond; surely beyond.
  EXPECT_EQ(Decide({0.002, 0.01}, m, Sides::kOne), Verdict::kWorse);
  EXPECT_EQ(Decide({0.02, 0.03}, m, Sides::kTwo), Verdict::kWorse);
  EXPECT_EQ(Decide({0, 0.01}, m, Sides::kOne), Verdict::kUndecided);
  // Gains.
  EXPECT_EQ(Decide({-0.05, -0.002}, m, Sides::kOne), Verdict::kEquivalent);
  EXPECT_EQ(Decide({-0.05, -0.002}, m, Sides::kTwo), Verdict::kBetter);
  EXPECT_EQ(VerdictName(Verdict::kUndecided), "undecided");
}

TEST(VerdictTest, IndependentAnswersHaveTangosInterval) {
  const VerdictReport report = Judge(Scores(9, 4, 200), {.margin = 0.05});
  ASSERT_OK_AND_ASSIGN(const Interval tango, TangoInterval(9, 4, 200, 0.9));
  EXPECT_EQ(report.interval_kind, LossInterval::kTango);
  EXPECT_DOUBLE_EQ(report.loss, 5.0 / 200);
  EXPECT_EQ(report.interval.lower, tango.lower);
  EXPECT_EQ(report.interval.upper, tango.upper);
}

TEST(VerdictTest, ManyItemsDecideAndFewDoNot) {
  const VerdictOptions options{.margin = 0.01};
  EXPECT_EQ(Judge(Scores(100, 100, 10000), options).verdict,
            Verdict::kEquivalent);
  EXPECT_EQ(Judge(Scores(300, 100, 10000), options).verdict, Verdict::kWorse);
  const VerdictReport few = Judge(Scores(2, 2, 200), options);
  EXPECT_EQ(few.verdict, Verdict::kUndecided);
  EXPECT_GT(few.further_items, 0u);
}

TEST(VerdictTest, EqualAnswersToFewItemsProveLittle) {
  const double z2 = std::pow(NormalQuantile(0.95), 2);
  const VerdictReport report = Judge(Scores(0, 0, 100), {.margin = 0.01});
  EXPECT_EQ(report.verdict, Verdict::kUndecided);
  EXPECT_NEAR(report.interval.upper, z2 / (100 + z2), 1e-12);
  // z^2 (1 - m) / m = 267.9 items in all.
  EXPECT_EQ(report.further_items, 168u);
  EXPECT_EQ(Judge(Scores(0, 0, 268), {.margin = 0.01}).verdict,
            Verdict::kEquivalent);
}

TEST(VerdictTest, FurtherItemsBringTheDecision) {
  for (Sides sides : {Sides::kOne, Sides::kTwo}) {
    for (const auto& [lost, gained] :
         {std::pair<int, int>{12, 10}, {30, 15}, {8, 8}, {6, 14}}) {
      const VerdictOptions options{.margin = 0.01, .sides = sides};
      const VerdictReport report = Judge(Scores(lost, gained, 1000), options);
      if (report.verdict != Verdict::kUndecided) continue;
      // The same shares among all the items asked for.
      const double grow = 1 + report.further_items / 1000.0;
      const Pair more =
          Scores(std::lround(lost * grow), std::lround(gained * grow),
                 std::lround(1000 * grow));
      EXPECT_NE(Judge(more, options).verdict, Verdict::kUndecided)
          << lost << " " << gained;
    }
  }
}

TEST(VerdictTest, ClustersWidenTheInterval) {
  Pair pair = Scores(60, 20, 1000);
  std::vector<uint32_t> clusters(1000);
  for (uint32_t i = 0; i < 1000; ++i) clusters[i] = i / 5;
  const VerdictReport alone = Judge(pair, {.margin = 0.1});
  const VerdictReport grouped = Judge(pair, {.margin = 0.1}, clusters);
  EXPECT_EQ(grouped.interval_kind, LossInterval::kStudentT);
  EXPECT_DOUBLE_EQ(grouped.loss, alone.loss);
  EXPECT_LT(grouped.interval.lower, alone.interval.lower);
  EXPECT_GT(grouped.interval.upper, alone.interval.upper);
}

TEST(VerdictTest, FewDifferingClustersAreNotACertainty) {
  std::vector<uint32_t> clusters(200);
  for (uint32_t i = 0; i < 200; ++i) clusters[i] = i / 10;
  const VerdictReport report =
      Judge(Scores(0, 0, 200), {.margin = 0.1}, clusters);
  EXPECT_EQ(report.interval_kind, LossInterval::kStudentTWidened);
  ASSERT_OK_AND_ASSIGN(const Interval tango, TangoInterval(0, 0, 20, 0.9));
  EXPECT_DOUBLE_EQ(report.interval.upper, tango.upper);
  EXPECT_EQ(report.verdict, Verdict::kUndecided);
  // 25 clusters of ten: 24.35 of them are needed.
  EXPECT_EQ(report.further_items, 44u);
}

TEST(VerdictTest, FractionsTakeStudentsT) {
  Pair pair = Scores(40, 20, 1000);
  pair.first[999] = 0.5;
  EXPECT_EQ(Judge(pair, {}).interval_kind, LossInterval::kStudentT);
}

TEST(VerdictTest, LossesWithoutBounds) {
  ASSERT_OK_AND_ASSIGN(
      const VerdictReport report,
      JudgeLosses({1, 2, 3}, {}, {.margin = 10, .sides = Sides::kTwo}));
  // Mean 2, error 1 / sqrt(3), t of 2 degrees at 95 %: 2.919986.
  EXPECT_NEAR(report.interval.upper, 2 + 2.919986 / std::sqrt(3.0), 1e-6);
  EXPECT_EQ(report.verdict, Verdict::kEquivalent);
  ASSERT_OK_AND_ASSIGN(const VerdictReport same,
                       JudgeLosses({0, 0, 0}, {}, {.margin = 1e-9}));
  EXPECT_EQ(same.verdict, Verdict::kEquivalent);
}

TEST(VerdictTest, BadOptionsAreNamed) {
  EXPECT_THAT(
      JudgeLosses({1, 2}, {}, {.margin = 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("margin 0")));
  EXPECT_THAT(
      JudgeLosses({1, 2}, {}, {.alpha = 0.5}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("alpha 0.5")));
  EXPECT_THAT(
      JudgeScores({1}, {NAN}, {}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("item 0")));
  EXPECT_THAT(
      JudgeScores({1, 0.5}, {1, 1}, {1, 1}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two clusters")));
}

}  // namespace
}  // namespace quantd
