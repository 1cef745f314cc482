#include "evaluators/token_statistics.h"

#include <cmath>

#include "gmock/gmock.h"

namespace quantd {
namespace {

TEST(TokenStatisticsTest, MeanAndErrorsMatchClosedForms) {
  // {1, 3} and {2, 4}: mean 2.5, mean square 7.5, window deviations -1 and 1.
  WindowSums windows[2];
  windows[0].Add(1);
  windows[0].Add(3);
  windows[1].Add(2);
  windows[1].Add(4);
  const v1::Estimate e = EstimateMean(windows);
  EXPECT_DOUBLE_EQ(e.mean(), 2.5);
  EXPECT_NEAR(e.error_iid(), std::sqrt((7.5 - 6.25) / 3), 1e-15);
  EXPECT_NEAR(e.error_clustered(), std::sqrt(2.0) / 4 * std::sqrt(2.0), 1e-15);
}

TEST(TokenStatisticsTest, OneValueHasNoError) {
  WindowSums window;
  window.Add(3);
  const v1::Estimate e = EstimateMean({&window, 1});
  EXPECT_EQ(e.mean(), 3);
  EXPECT_EQ(e.error_iid(), 0);
  EXPECT_EQ(e.error_clustered(), 0);
}

// The rule of numpy's default and of llama.cpp: linear at fraction * (n - 1).
TEST(TokenStatisticsTest, PercentilesAreInterpolated) {
  const double values[] = {1, 2, 4, 8, 16};
  EXPECT_EQ(PercentileOf(values, 0), 1);
  EXPECT_EQ(PercentileOf(values, 1), 16);
  EXPECT_EQ(PercentileOf(values, 0.5), 4);
  EXPECT_DOUBLE_EQ(PercentileOf(values, 0.9), 8 + 0.6 * 8);
  EXPECT_DOUBLE_EQ(PercentileOf(values, 0.05), 1.2);
  const double one[] = {7};
  EXPECT_EQ(PercentileOf(one, 0.999), 7);
}

TEST(TokenStatisticsTest, DistributionSortsItsValues) {
  WindowSums window;
  std::vector<double> values;
  for (int i = 0; i <= 1000; ++i) {
    values.push_back((i * 10) % 1001);
    window.Add(values.back());
  }
  const v1::Distribution d = DistributionOf(EstimateMean({&window, 1}), values);
  EXPECT_EQ(d.mean().mean(), 500);
  EXPECT_EQ(d.minimum(), 0);
  EXPECT_EQ(d.median(), 500);
  EXPECT_EQ(d.maximum(), 1000);
  for (const v1::Percentile& p : d.percentiles()) {
    EXPECT_NEAR(p.value(), 10 * p.percent(), 1e-9);
  }
}

}  // namespace
}  // namespace quantd
