#include "evaluators/statistics/proportion.h"

#include <algorithm>
#include <cmath>

#include "evaluators/statistics/special_functions.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(ProportionTest, WilsonIsItsFormula) {
  ASSERT_OK_AND_ASSIGN(const Interval half, WilsonInterval(50, 100, 0.95));
  const double z2 = 1.959963984540054 * 1.959963984540054;
  const double width = std::sqrt(z2 * (0.0025 + z2 / 40000)) / (1 + z2 / 100);
  EXPECT_NEAR(half.lower, 0.5 - width, 1e-12);
  EXPECT_NEAR(half.upper, 0.5 + width, 1e-12);
  // None right: 0 to z^2 / (n + z^2).
  ASSERT_OK_AND_ASSIGN(const Interval none, WilsonInterval(0, 10, 0.95));
  EXPECT_NEAR(none.lower, 0, 1e-15);
  EXPECT_NEAR(none.upper, z2 / (10 + z2), 1e-12);
  // Shared credit counts.
  ASSERT_OK_AND_ASSIGN(const Interval tied, WilsonInterval(49.5, 99, 0.95));
  EXPECT_NEAR(tied.lower + tied.upper, 1, 1e-12);
}

TEST(ProportionTest, BinomialErrorIsThatOfTheScores) {
  // 1, 1, 1, 0: mean 3/4, sum of squares 3/4, over 3 and 4.
  ASSERT_OK_AND_ASSIGN(const double error, BinomialStandardError(0.75, 4));
  EXPECT_NEAR(error, std::sqrt(0.75 / 3 / 4), 1e-15);
}

TEST(ProportionTest, BadArgumentsAreNamed) {
  EXPECT_THAT(WilsonInterval(3, 2, 0.95),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("3 right answers of 2")));
  EXPECT_THAT(WilsonInterval(NAN, 2, 0.95),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nan")));
  EXPECT_THAT(
      WilsonInterval(0, 0, 0.95),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no items")));
  EXPECT_THAT(
      WilsonInterval(1, 2, 1),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("confidence 1")));
  EXPECT_THAT(
      BinomialStandardError(0.5, 1),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two items")));
  EXPECT_THAT(TangoInterval(3, 3, 5, 0.95),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("3 and 3 discordant of 5")));
  EXPECT_THAT(
      TangoInterval(~uint64_t{0}, 3, 5, 0.95),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("discordant")));
}

TEST(ProportionTest, TangoWithoutDiscordantItemsHasAClosedForm) {
  const double z = NormalQuantile(0.975);
  for (uint64_t n : {1u, 30u, 1000u}) {
    ASSERT_OK_AND_ASSIGN(const Interval interval, TangoInterval(0, 0, n, 0.95));
    const double end = z * z / (static_cast<double>(n) + z * z);
    EXPECT_NEAR(interval.upper, end, 1e-12);
    EXPECT_NEAR(interval.lower, -end, 1e-12);
  }
}

TEST(ProportionTest, TangoTurnsAroundWithTheModels) {
  for (uint64_t b = 0; b <= 12; ++b) {
    for (uint64_t c = 0; b + c <= 12; ++c) {
      ASSERT_OK_AND_ASSIGN(const Interval one, TangoInterval(b, c, 12, 0.9));
      ASSERT_OK_AND_ASSIGN(const Interval other, TangoInterval(c, b, 12, 0.9));
      EXPECT_NEAR(one.lower, -other.upper, 1e-9);
      const double estimate = (static_cast<double>(b) - c) / 12;
      EXPECT_LE(one.lower, estimate);
      EXPECT_GE(one.upper, estimate);
      EXPECT_GE(one.lower, -1);
      EXPECT_LE(one.upper, 1);
    }
  }
}

// The score statistic with the nuisance parameter found by search instead of
// by the quadratic.
double StatisticBySearch(double b, double c, double n, double d) {
  const auto log_likelihood = [&](double q) {
    const auto term = [](double count, double p) {
      return count == 0 ? 0 : count * std::log(std::max(p, 1e-300));
    };
    return term(b, q + d) + term(c, q) + term(n - b - c, 1 - 2 * q - d);
  };
  double low = std::max(0.0, -d);
  double high = (1 - d) / 2;
  for (int i = 0; i < 300; ++i) {
    const double left = low + (high - low) / 3;
    const double right = high - (high - low) / 3;
    (log_likelihood(left) < log_likelihood(right) ? low : high) =
        log_likelihood(left) < log_likelihood(right) ? left : right;
  }
  const double q = (low + high) / 2;
  return (b - c - n * d) / std::sqrt(n * (2 * q + d - d * d));
}

TEST(ProportionTest, TangoEndsHaveTheScoreStatisticZ) {
  const double z = NormalQuantile(0.975);
  for (const auto& [b, c, n] : {std::tuple<int, int, int>{1, 0, 44},
                                {9, 4, 60},
                                {3, 17, 200},
                                {120, 90, 1000}}) {
    ASSERT_OK_AND_ASSIGN(const Interval interval, TangoInterval(b, c, n, 0.95));
    EXPECT_NEAR(StatisticBySearch(b, c, n, interval.lower), z, 1e-4);
    EXPECT_NEAR(StatisticBySearch(b, c, n, interval.upper), -z, 1e-4);
  }
}

TEST(ProportionTest, TangoNearsTheNormalIntervalOfManyDiscordantItems) {
  ASSERT_OK_AND_ASSIGN(const Interval interval,
                       TangoInterval(5200, 4800, 100000, 0.95));
  const double error = std::sqrt(10000 - 400.0 * 400 / 100000) / 100000;
  EXPECT_NEAR(interval.lower, 0.004 - 1.96 * error, 2e-6);
  EXPECT_NEAR(interval.upper, 0.004 + 1.96 * error, 2e-6);
}

TEST(ProportionTest, TangoCoversRareFlipsThatTheNormalIntervalMisses) {
  // Exact coverage: every outcome of 60 items with its probability, where 4 %
  // are lost and 1 % gained.
  constexpr int kItems = 60;
  constexpr double kLost = 0.04;
  constexpr double kGained = 0.01;
  double tango = 0;
  double normal = 0;
  for (int b = 0; b <= kItems; ++b) {
    for (int c = 0; b + c <= kItems; ++c) {
      const double probability =
          std::exp(std::lgamma(kItems + 1) - std::lgamma(b + 1) -
                   std::lgamma(c + 1) - std::lgamma(kItems - b - c + 1) +
                   b * std::log(kLost) + c * std::log(kGained) +
                   (kItems - b - c) * std::log(1 - kLost - kGained));
      if (probability < 1e-12) continue;
      ASSERT_OK_AND_ASSIGN(const Interval interval,
                           TangoInterval(b, c, kItems, 0.95));
      if (interval.lower <= 0.03 && 0.03 <= interval.upper) {
        tango += probability;
      }
      const double estimate = (b - c) / 60.0;
      const double error = std::sqrt(b + c - (b - c) * (b - c) / 60.0) / 60.0;
      if (std::abs(estimate - 0.03) <= 1.96 * error) normal += probability;
    }
  }
  EXPECT_GT(tango, 0.93);
  EXPECT_LT(normal, 0.92);
}

}  // namespace
}  // namespace quantd
