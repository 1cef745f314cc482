#include "quantizers/binary_grid.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

std::vector<double> Random(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<double> values(count);
  for (double& v : values) {
    v = static_cast<double>(engine() >> 11) * 0x1p-52 - 0.8;
  }
  return values;
}

double ErrorOf(const std::vector<double>& w, double mean, double alpha) {
  double sum = 0;
  for (double v : w) {
    const double q = v >= mean ? mean + alpha : mean - alpha;
    sum += (v - q) * (v - q);
  }
  return sum;
}

TEST(BinaryGridTest, SignsOfEqualSizeAreExact) {
  const std::vector<float> w = {1, -1, 1, 1, -1, -1, -1, 1, 1};
  const BinaryGrid grid = FitBinaryGrid<float>(w, {}, BinaryCenter::kZero);
  EXPECT_EQ(grid.mean, 0.0f);
  EXPECT_EQ(grid.alpha, 1.0f);
  for (float v : w) {
    EXPECT_EQ(DecodeBinary<float>(EncodeBinary(v, grid), grid), v);
  }
}

TEST(BinaryGridTest, WeightsThatAreLeftOutDoNotShrinkAlpha) {
  // Nine signs and a 10 that is stored elsewhere: 1, not 9 / 10 or 19 / 10.
  const std::vector<float> w = {1, -1, 1, 1, 10, -1, -1, -1, 1, 1};
  const std::vector<float> counts = {1, 1, 1, 1, 0, 1, 1, 1, 1, 1};
  EXPECT_EQ(FitBinaryGrid<float>(w, counts, BinaryCenter::kZero).alpha, 1.0f);
  // Around the mean 1/9: 5 at distance 8/9 and 4 at distance 10/9.
  const BinaryGrid centered =
      FitBinaryGrid<float>(w, counts, BinaryCenter::kMean);
  EXPECT_NEAR(centered.mean, 1.0 / 9, 1e-4);
  EXPECT_NEAR(centered.alpha, 80.0 / 81, 1e-3);
}

TEST(BinaryGridTest, AlphaMinimisesTheError) {
  for (uint64_t seed = 1; seed < 6; ++seed) {
    const std::vector<double> w = Random(200, seed);
    for (BinaryCenter center : {BinaryCenter::kMean, BinaryCenter::kZero}) {
      const BinaryGrid grid = FitBinaryGrid<double>(w, {}, center);
      const double mean = static_cast<double>(grid.mean);
      const double alpha = static_cast<double>(grid.alpha);
      const double error = ErrorOf(w, mean, alpha);
      EXPECT_GT(ErrorOf(w, mean, 1.01 * alpha), error);
      EXPECT_GT(ErrorOf(w, mean, 0.99 * alpha), error);
    }
  }
}

TEST(BinaryGridTest, SignOfZeroIsPlus) {
  const BinaryGrid grid = {0.5f, 0.25f};
  EXPECT_EQ(EncodeBinary(0.5f, grid), 1);
  EXPECT_EQ(DecodeBinary<float>(1, grid), 0.75f);
  EXPECT_EQ(DecodeBinary<float>(0, grid), 0.25f);
}

TEST(BinaryGridTest, ParametersAreWhatIsStored) {
  const BinaryGrid grid =
      FitBinaryGrid<double>(Random(77, 9), {}, BinaryCenter::kMean);
  EXPECT_EQ(F16ToF32(F32ToF16(grid.mean)), grid.mean);
  EXPECT_EQ(F16ToF32(F32ToF16(grid.alpha)), grid.alpha);
  const std::vector<float> huge = {1e9f, 1e9f, -1e9f};
  EXPECT_TRUE(
      std::isfinite(FitBinaryGrid<float>(huge, {}, BinaryCenter::kMean).alpha));
}

TEST(BinaryGridTest, NoWeightsGiveZeros) {
  const std::vector<float> w = {3, 4};
  const std::vector<float> counts = {0, 0};
  const BinaryGrid grid = FitBinaryGrid<float>(w, counts, BinaryCenter::kMean);
  EXPECT_EQ(grid.mean, 0.0f);
  EXPECT_EQ(grid.alpha, 0.0f);
}

}  // namespace
}  // namespace quantd
