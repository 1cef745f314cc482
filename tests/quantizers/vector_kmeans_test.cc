#include "quantizers/vector_kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "quantizers/scalar_kmeans.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::_;

std::vector<float> RandomFloats(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<float> values(count);
  for (float& v : values) {
    // A sum of uniforms: roughly normal, and the same everywhere.
    v = 0;
    for (int i = 0; i < 4; ++i) {
      v += static_cast<float>(engine() >> 40) * 0x1p-24f - 0.5f;
    }
  }
  return values;
}

double ObjectiveOf(const VectorKMeansProblem& p, const VectorKMeans& result) {
  double objective = 0;
  for (int64_t i = 0; i < p.count; ++i) {
    const int64_t j = result.assignment[static_cast<size_t>(i)];
    for (int64_t t = 0; t < p.dimension; ++t) {
      const double d =
          double{p.vectors[i * p.dimension + t]} -
          double{result.centroids[static_cast<size_t>(j * p.dimension + t)]};
      objective +=
          d * d *
          (p.weights == nullptr ? 1.0 : double{p.weights[i * p.dimension + t]});
    }
  }
  return objective;
}

class VectorKMeansTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(VectorKMeansTest, FindsSeparatedClusters) {
  const std::vector<float> x = {0, 0, 0, 1, 9, 9, 9, 8, -5, 5, -5, 6};
  VectorKMeansOptions options;
  options.k = 3;
  options.restarts = 4;
  ASSERT_OK_AND_ASSIGN(
      const VectorKMeans got,
      FitVectorKMeans({6, 2, x.data(), nullptr}, options, ctx_));
  EXPECT_EQ(got.assignment[0], got.assignment[1]);
  EXPECT_EQ(got.assignment[2], got.assignment[3]);
  EXPECT_EQ(got.assignment[4], got.assignment[5]);
  EXPECT_NEAR(got.objective, 1.5, 1e-6);
}

TEST_F(VectorKMeansTest, ReachesTheExactOptimumInOneDimension) {
  const std::vector<float> x = RandomFloats(60, 1);
  std::vector<float> w = RandomFloats(60, 2);
  for (float& v : w) v = std::abs(v);
  const ScalarKMeans exact =
      FitScalarKMeans(std::vector<double>(x.begin(), x.end()),
                      std::vector<double>(w.begin(), w.end()), 4);
  VectorKMeansOptions options;
  options.k = 4;
  options.restarts = 20;
  options.tolerance = 0;
  ASSERT_OK_AND_ASSIGN(
      const VectorKMeans got,
      FitVectorKMeans({60, 1, x.data(), w.data()}, options, ctx_));
  EXPECT_GE(got.objective, exact.objective * (1 - 1e-6));
  EXPECT_NEAR(got.objective / exact.objective, 1, 1e-5);
}

TEST_F(VectorKMeansTest, WeightedObjectiveNeverRises) {
  const int64_t n = 3000, d = 4;
  const std::vector<float> x = RandomFloats(n * d, 3);
  std::vector<float> w = RandomFloats(n * d, 4);
  for (float& v : w) v = v * v;
  VectorKMeansOptions options;
  options.k = 64;
  options.tolerance = 0;
  const VectorKMeansProblem problem = {n, d, x.data(), w.data()};
  ASSERT_OK_AND_ASSIGN(const VectorKMeans got,
                       FitVectorKMeans(problem, options, ctx_));
  ASSERT_GT(got.history.size(), 3u);
  for (size_t i = 1; i < got.history.size(); ++i) {
    EXPECT_LE(got.history[i], got.history[i - 1]) << i;
  }
  EXPECT_EQ(got.history.back(), got.objective);
  EXPECT_NEAR(ObjectiveOf(problem, got) / got.objective, 1, 1e-9);
}

TEST_F(VectorKMeansTest, UnitWeightsAreNoWeights) {
  const std::vector<float> x = RandomFloats(2 * 500, 5);
  const std::vector<float> ones(x.size(), 1.0f);
  const std::vector<float> zeros(x.size(), 0.0f);
  VectorKMeansOptions options;
  options.k = 16;
  ASSERT_OK_AND_ASSIGN(
      const VectorKMeans plain,
      FitVectorKMeans({500, 2, x.data(), nullptr}, options, ctx_));
  for (const auto& w : {ones, zeros}) {
    ASSERT_OK_AND_ASSIGN(
        const VectorKMeans weighted,
        FitVectorKMeans({500, 2, x.data(), w.data()}, options, ctx_));
    EXPECT_EQ(weighted.centroids, plain.centroids);
    EXPECT_EQ(weighted.assignment, plain.assignment);
  }
}

TEST_F(VectorKMeansTest, FewerDistinctVectorsThanCentroidsAreExact) {
  const std::vector<float> x = {1, 2, 3, 4, 1, 2, 3, 4, 5, 6};
  VectorKMeansOptions options;
  options.k = 16;
  ASSERT_OK_AND_ASSIGN(
      const VectorKMeans got,
      FitVectorKMeans({5, 2, x.data(), nullptr}, options, ctx_));
  EXPECT_EQ(got.objective, 0);
  EXPECT_EQ(got.centroids.size(), 32u);
  for (float c : got.centroids) EXPECT_TRUE(std::isfinite(c));
}

TEST_F(VectorKMeansTest, EmptyCentroidsMoveToTheWorstVectors) {
  // Nine vectors of nine values, one of weight far above the others: a start
  // draws it first and then, by distance alone, far ones; every centroid ends
  // with a vector of its own.
  std::vector<float> x(9), w(9, 1e-3f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i);
  w[0] = 1;
  VectorKMeansOptions options;
  options.k = 9;
  options.tolerance = 0;
  ASSERT_OK_AND_ASSIGN(
      const VectorKMeans got,
      FitVectorKMeans({9, 1, x.data(), w.data()}, options, ctx_));
  EXPECT_EQ(got.objective, 0);
}

TEST_F(VectorKMeansTest, MoreStartsAreNeverWorse) {
  const std::vector<float> x = RandomFloats(4 * 400, 6);
  VectorKMeansOptions options;
  options.k = 32;
  double last = std::numeric_limits<double>::infinity();
  for (int restarts : {1, 2, 4, 8}) {
    options.restarts = restarts;
    ASSERT_OK_AND_ASSIGN(
        const VectorKMeans got,
        FitVectorKMeans({400, 4, x.data(), nullptr}, options, ctx_));
    EXPECT_LE(got.objective, last) << restarts;
    last = got.objective;
  }
}

TEST_F(VectorKMeansTest, ResultDoesNotDependOnThreads) {
  const int64_t n = 9000, d = 6;
  const std::vector<float> x = RandomFloats(n * d, 7);
  VectorKMeansOptions options;
  options.k = 100;
  options.max_iterations = 12;
  options.restarts = 2;
  std::vector<VectorKMeans> results;
  for (int threads : {1, 2, 3}) {
    auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    ASSERT_OK_AND_ASSIGN(
        VectorKMeans got,
        FitVectorKMeans({n, d, x.data(), nullptr}, options, ctx));
    results.push_back(std::move(got));
  }
  for (size_t i = 1; i < results.size(); ++i) {
    EXPECT_EQ(results[i].centroids, results[0].centroids);
    EXPECT_EQ(results[i].assignment, results[0].assignment);
    EXPECT_EQ(results[i].objective, results[0].objective);
  }
}

TEST_F(VectorKMeansTest, CancelledContextStopsIt) {
  const std::vector<float> x = RandomFloats(100, 8);
  ctx_.RequestCancel();
  EXPECT_THAT(FitVectorKMeans({100, 1, x.data(), nullptr}, {}, ctx_),
              StatusIs(absl::StatusCode::kCancelled, _));
}

}  // namespace
}  // namespace quantd
