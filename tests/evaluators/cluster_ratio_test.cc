#include "evaluators/cluster_ratio.h"

#include <cmath>

#include "evaluators/token_statistics.h"
#include "gmock/gmock.h"

namespace quantd {
namespace {

TEST(ClusterRatioTest, MatchesItsDefinition) {
  const double a[] = {6, 1, 5}, b[] = {2, 1, 1};
  const ClusterRatio r = RatioOfSums(a, b);
  EXPECT_EQ(r.value, 3);
  // Deviations 0, -2, 2.
  EXPECT_NEAR(r.error, std::sqrt(8.0) / 4 * std::sqrt(1.5), 1e-15);
}

TEST(ClusterRatioTest, OverTokensItIsTheClusteredErrorOfAMean) {
  WindowSums windows[3];
  double a[3], b[3];
  for (int w = 0; w < 3; ++w) {
    for (int t = 0; t <= w; ++t) windows[w].Add(w * w + 0.5 * t);
    a[w] = windows[w].sum;
    b[w] = static_cast<double>(windows[w].count);
  }
  const v1::Estimate mean = EstimateMean(windows);
  const ClusterRatio r = RatioOfSums(a, b);
  EXPECT_NEAR(r.value, mean.mean(), 1e-15);
  EXPECT_NEAR(r.error, mean.error_clustered(), 1e-15);
}

TEST(ClusterRatioTest, OneClusterHasNoError) {
  const double a[] = {6}, b[] = {2};
  EXPECT_EQ(RatioOfSums(a, b).value, 3);
  EXPECT_EQ(RatioOfSums(a, b).error, 0);
}

}  // namespace
}  // namespace quantd
