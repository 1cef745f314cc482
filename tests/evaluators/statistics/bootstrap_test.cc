#include "evaluators/statistics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "evaluators/statistics/mean.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

std::vector<double> Skewed(int n) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) {
    values.push_back(-std::log((i + 0.5) / n));  // exponential quantiles
  }
  return values;
}

TEST(BootstrapTest, ErrorOfAMeanIsTheFormula) {
  const std::vector<double> values = Skewed(200);
  ASSERT_OK_AND_ASSIGN(const MeanEstimate exact,
                       EstimateMeanOfItems(values, {}));
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       BootstrapMean(values, {}, {.resamples = 20000}));
  EXPECT_DOUBLE_EQ(drawn.estimate, exact.mean);
  // The bootstrap divides by n, not n - 1.
  EXPECT_NEAR(drawn.standard_error, exact.iid_error * std::sqrt(199.0 / 200),
              exact.iid_error * 0.02);
  EXPECT_NEAR(drawn.bias, 0, exact.iid_error * 0.03);
  EXPECT_NEAR(drawn.percentile.lower, exact.mean - 1.96 * exact.iid_error,
              0.2 * exact.iid_error);
}

TEST(BootstrapTest, BcaLeansTowardsTheLongTail) {
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       BootstrapMean(Skewed(40), {}, {.resamples = 20000}));
  ASSERT_TRUE(drawn.bca.has_value());
  // Right-skewed data: a sample's mean falls short more often than it exceeds.
  EXPECT_GT(drawn.bca->lower, drawn.percentile.lower);
  EXPECT_GT(drawn.bca->upper, drawn.percentile.upper);
}

TEST(BootstrapTest, BcaOfSymmetricDataIsThePercentileInterval) {
  std::vector<double> values;
  for (int i = -50; i <= 50; ++i) values.push_back(i);
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       BootstrapMean(values, {}, {.resamples = 20000}));
  ASSERT_TRUE(drawn.bca.has_value());
  EXPECT_NEAR(drawn.bca->lower, drawn.percentile.lower,
              0.1 * drawn.standard_error);
  EXPECT_NEAR(drawn.bca->upper, drawn.percentile.upper,
              0.1 * drawn.standard_error);
}

TEST(BootstrapTest, ClustersAreDrawnWhole) {
  std::vector<double> values;
  std::vector<uint32_t> clusters;
  for (uint32_t c = 0; c < 100; ++c) {
    for (uint32_t copy = 0; copy <= c % 3; ++copy) {
      values.push_back(c % 7);
      clusters.push_back(c);
    }
  }
  ASSERT_OK_AND_ASSIGN(const MeanEstimate exact,
                       EstimateMeanOfItems(values, clusters));
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       BootstrapMean(values, clusters, {.resamples = 10000}));
  EXPECT_NEAR(drawn.standard_error, *exact.clustered_error,
              0.05 * *exact.clustered_error);
}

TEST(BootstrapTest, EqualSeedsGiveEqualBits) {
  const std::vector<double> values = Skewed(30);
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate one,
                       BootstrapMean(values, {}, {.seed = 1}));
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate again,
                       BootstrapMean(values, {}, {.seed = 1}));
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate other,
                       BootstrapMean(values, {}, {.seed = 2}));
  EXPECT_EQ(one.standard_error, again.standard_error);
  EXPECT_EQ(one.bca->upper, again.bca->upper);
  EXPECT_NE(one.standard_error, other.standard_error);
}

TEST(BootstrapTest, DrawsAreUniform) {
  std::vector<int> count(7);
  const auto statistic = [&](absl::Span<const uint32_t> drawn) {
    if (drawn.size() == count.size()) {
      for (uint32_t i : drawn) ++count[i];
    }
    return 0.0;
  };
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       Bootstrap(7, statistic, {.resamples = 10000}));
  EXPECT_EQ(drawn.standard_error, 0);
  EXPECT_EQ(drawn.bca->upper, 0);
  // 10000 of each expected (and one from the sample itself), sd 93.
  for (int c : count) EXPECT_NEAR(c, 10001, 450);
}

TEST(BootstrapTest, LeavesEveryUnitOutOnce) {
  std::vector<std::vector<uint32_t>> left_out;
  const auto statistic = [&](absl::Span<const uint32_t> drawn) {
    if (drawn.size() == 2) left_out.emplace_back(drawn.begin(), drawn.end());
    return 0.0;
  };
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       Bootstrap(3, statistic, {.resamples = 100}));
  EXPECT_EQ(drawn.estimate, 0);
  EXPECT_THAT(left_out, ::testing::ElementsAre(::testing::ElementsAre(1, 2),
                                               ::testing::ElementsAre(0, 2),
                                               ::testing::ElementsAre(0, 1)));
}

TEST(BootstrapTest, OneSidedStatisticHasNoBca) {
  // Fewer units are drawn than there are, always.
  const auto distinct = [](absl::Span<const uint32_t> drawn) {
    std::vector<uint32_t> units(drawn.begin(), drawn.end());
    std::sort(units.begin(), units.end());
    return static_cast<double>(std::unique(units.begin(), units.end()) -
                               units.begin());
  };
  ASSERT_OK_AND_ASSIGN(const BootstrapEstimate drawn,
                       Bootstrap(50, distinct, {}));
  EXPECT_FALSE(drawn.bca.has_value());
  EXPECT_LT(drawn.percentile.upper, drawn.estimate);
}

TEST(BootstrapTest, RefusesWhatHasNoInterval) {
  EXPECT_THAT(
      BootstrapMean({1}, {}, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two units")));
  EXPECT_THAT(
      BootstrapMean({1, 2}, {}, {.resamples = 10}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("resamples: 10")));
  EXPECT_THAT(
      BootstrapMean({1, 2}, {}, {.confidence = 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("confidence 0")));
  const auto undefined = [](absl::Span<const uint32_t> drawn) {
    return drawn[0] == drawn[1] ? NAN : 1.0;
  };
  EXPECT_THAT(
      Bootstrap(2, undefined, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("resample")));
}

}  // namespace
}  // namespace quantd
