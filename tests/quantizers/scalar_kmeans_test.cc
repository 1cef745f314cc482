#include "quantizers/scalar_kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"

namespace quantd {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointwise;

double Uniform(std::mt19937_64& engine) {
  return static_cast<double>(engine() >> 11) * 0x1p-53;
}

// The best of all k^n assignments.
double BruteForceObjective(const std::vector<double>& x,
                           const std::vector<double>& w, int k) {
  int64_t assignments = 1;
  for (size_t i = 0; i < x.size(); ++i) assignments *= k;
  double best = std::numeric_limits<double>::infinity();
  for (int64_t a = 0; a < assignments; ++a) {
    std::vector<double> weight(static_cast<size_t>(k)), sum(weight.size());
    int64_t rest = a;
    for (size_t i = 0; i < x.size(); ++i, rest /= k) {
      weight[static_cast<size_t>(rest % k)] += w[i];
      sum[static_cast<size_t>(rest % k)] += w[i] * x[i];
    }
    double objective = 0;
    rest = a;
    for (size_t i = 0; i < x.size(); ++i, rest /= k) {
      const size_t j = static_cast<size_t>(rest % k);
      if (w[i] == 0) continue;
      const double d = x[i] - sum[j] / weight[j];
      objective += w[i] * d * d;
    }
    best = std::min(best, objective);
  }
  return best;
}

double ObjectiveOf(const std::vector<double>& x, const std::vector<double>& w,
                   const std::vector<double>& centroids) {
  double objective = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    double nearest = std::numeric_limits<double>::infinity();
    for (double c : centroids) {
      nearest = std::min(nearest, (x[i] - c) * (x[i] - c));
    }
    objective += (w.empty() ? 1.0 : w[i]) * nearest;
  }
  return objective;
}

// Lloyd's iteration from the quantiles.
double LloydObjective(const std::vector<double>& x,
                      const std::vector<double>& w, int k) {
  std::vector<double> sorted = x;
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> centroids;
  for (int j = 0; j < k; ++j) {
    centroids.push_back(sorted[(2 * static_cast<size_t>(j) + 1) *
                               sorted.size() / (2 * static_cast<size_t>(k))]);
  }
  for (int step = 0; step < 100; ++step) {
    std::vector<double> weight(centroids.size()), sum(centroids.size());
    for (size_t i = 0; i < x.size(); ++i) {
      size_t best = 0;
      for (size_t j = 1; j < centroids.size(); ++j) {
        if (std::abs(x[i] - centroids[j]) < std::abs(x[i] - centroids[best])) {
          best = j;
        }
      }
      weight[best] += w[i];
      sum[best] += w[i] * x[i];
    }
    for (size_t j = 0; j < centroids.size(); ++j) {
      if (weight[j] > 0) centroids[j] = sum[j] / weight[j];
    }
  }
  return ObjectiveOf(x, w, centroids);
}

TEST(ScalarKMeansTest, FindsTheOptimumOfEveryAssignment) {
  std::mt19937_64 engine(7);
  for (int round = 0; round < 60; ++round) {
    const size_t n = 2 + engine() % 6;
    const int k = 1 + static_cast<int>(engine() % 3);
    std::vector<double> x(n), w(n);
    for (size_t i = 0; i < n; ++i) {
      // Few distinct values now and then, and zero weights.
      x[i] = round % 3 == 0 ? static_cast<double>(engine() % 4)
                            : 100 + Uniform(engine);
      w[i] = engine() % 5 == 0 ? 0.0 : Uniform(engine);
    }
    w[0] = 1;
    const ScalarKMeans got = FitScalarKMeans(x, w, k);
    EXPECT_NEAR(got.objective, BruteForceObjective(x, w, k), 1e-12) << round;
    EXPECT_NEAR(ObjectiveOf(x, w, got.centroids), got.objective, 1e-12);
    EXPECT_TRUE(std::is_sorted(got.centroids.begin(), got.centroids.end()));
  }
}

TEST(ScalarKMeansTest, IsNeverWorseThanLloyd) {
  std::mt19937_64 engine(8);
  for (int k : {2, 4, 8, 16}) {
    std::vector<double> x(300), w(300);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = std::pow(2 * Uniform(engine) - 1, 3);
      w[i] = Uniform(engine);
    }
    const ScalarKMeans got = FitScalarKMeans(x, w, k);
    EXPECT_EQ(got.centroids.size(), static_cast<size_t>(k));
    EXPECT_LE(got.objective, LloydObjective(x, w, k) * (1 + 1e-12)) << k;
  }
}

TEST(ScalarKMeansTest, ObjectiveFallsWithEveryCentroidDownToZero) {
  std::mt19937_64 engine(9);
  std::vector<double> x(40);
  for (double& v : x) v = Uniform(engine);
  double last = std::numeric_limits<double>::infinity();
  for (int k = 1; k <= 40; ++k) {
    const double objective = FitScalarKMeans(x, {}, k).objective;
    EXPECT_LT(objective, last) << k;
    last = objective;
  }
  EXPECT_EQ(last, 0);
}

TEST(ScalarKMeansTest, FewerDistinctValuesThanCentroidsAreThemselves) {
  EXPECT_THAT(FitScalarKMeans({3, 1, 3, 1, 2}, {}, 8).centroids,
              ElementsAre(1, 2, 3));
  EXPECT_THAT(FitScalarKMeans({3, 1, 2}, {1, 1, 0}, 2).centroids,
              ElementsAre(1, 3));
  EXPECT_THAT(FitScalarKMeans({}, {}, 4).centroids, IsEmpty());
}

TEST(ScalarKMeansTest, WeightsOfZeroCountAsOne) {
  const std::vector<double> x = {0, 1, 10, 11, 12};
  EXPECT_THAT(
      FitScalarKMeans(x, {0, 0, 0, 0, 0}, 2).centroids,
      Pointwise(DoubleNear(1e-12), FitScalarKMeans(x, {}, 2).centroids));
  EXPECT_THAT(FitScalarKMeans(x, {}, 2).centroids,
              ElementsAre(DoubleNear(0.5, 1e-12), DoubleNear(11, 1e-12)));
}

TEST(ScalarKMeansTest, WeightPullsTheCentroid) {
  const ScalarKMeans got = FitScalarKMeans({0, 1}, {3, 1}, 1);
  EXPECT_THAT(got.centroids, ElementsAre(DoubleNear(0.25, 1e-15)));
  EXPECT_NEAR(got.objective, 0.75, 1e-15);
}

TEST(ScalarKMeansTest, FarFromZeroKeepsItsPrecision) {
  const ScalarKMeans got =
      FitScalarKMeans({1e6, 1e6 + 1, 1e6 + 10, 1e6 + 11}, {}, 2);
  EXPECT_NEAR(got.objective, 1.0, 1e-9);
}

}  // namespace
}  // namespace quantd
