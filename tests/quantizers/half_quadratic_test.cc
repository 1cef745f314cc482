#include "quantizers/half_quadratic.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

std::vector<float> Weights(int count, uint64_t seed, double tail) {
  std::mt19937_64 engine(seed);
  std::vector<float> weights;
  for (int i = 0; i < count; ++i) {
    double sum = 0;
    for (int k = 0; k < 6; ++k) {
      sum += static_cast<double>(engine() >> 11) * 0x1p-53 - 0.5;
    }
    if (engine() % 16 == 0) sum *= tail;
    weights.push_back(static_cast<float>(0.1 * sum));
  }
  return weights;
}

TEST(HalfQuadraticTest, NoGroupEndsAboveItsRoundToNearestStart) {
  int improved = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    HalfQuadraticOptions options;
    options.bits = 1 + static_cast<int>(seed % 8);
    const std::vector<float> w =
        Weights(64, seed, 1.0 + static_cast<double>(seed % 5) * 3);
    const double start =
        RealZeroError(w, {}, RangeGrid(w, {}, options), options);
    const double end =
        RealZeroError(w, {}, FitHalfQuadratic(w, {}, options), options);
    EXPECT_LE(end, start) << seed;
    if (end < start && options.bits <= 4) ++improved;
  }
  // Of the 152 groups of at most four bits; finer grids are left with little.
  EXPECT_GT(improved, 76);
}

TEST(HalfQuadraticTest, ZeroIterationsAreRoundToNearest) {
  HalfQuadraticOptions options;
  options.iterations = 0;
  options.bits = 2;
  const std::vector<float> w = {-1, 0.5f, 0.25f, 2};
  const RealZeroGrid grid = FitHalfQuadratic(w, {}, options);
  EXPECT_EQ(grid.scale, 1.0f);
  EXPECT_EQ(grid.zero, 1.0f);
  EXPECT_EQ(grid.Encode(-5, 3), 0);
  EXPECT_EQ(grid.Encode(-1, 3), 0);
  EXPECT_EQ(grid.Encode(0.25f, 3), 1);
  EXPECT_EQ(grid.Encode(9, 3), 3);
  EXPECT_EQ(grid.Decode(3), 2.0f);
}

// One step by hand, with a beta so small that all errors are taken for sparse:
// then z = mean(q - w / s).
TEST(HalfQuadraticTest, FirstStepMovesTheZeroPointToTheMeanResidual) {
  HalfQuadraticOptions options;
  options.iterations = 1;
  options.bits = 2;
  options.beta = 1e-6;
  options.norm = 1;
  // s = 1, z = 0; codes 0 1 1 1 3, residuals q - w: 0 -.25 -.25 -.25 0.
  const std::vector<float> w = {0, 1.25f, 1.25f, 1.25f, 3};
  const RealZeroGrid grid = FitHalfQuadratic(w, {}, options);
  EXPECT_EQ(grid.scale, 1.0f);
  EXPECT_EQ(grid.zero, F16ToF32(F32ToF16(-0.15f)));
}

TEST(HalfQuadraticTest, ParametersAreExactInBinary16) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const RealZeroGrid grid =
        FitHalfQuadratic(Weights(32, seed, 10), {}, HalfQuadraticOptions());
    EXPECT_EQ(F16ToF32(F32ToF16(grid.scale)), grid.scale);
    EXPECT_EQ(F16ToF32(F32ToF16(grid.zero)), grid.zero);
    EXPECT_GT(grid.scale, 0);
  }
}

TEST(HalfQuadraticTest, AwkwardGroupsAreRepresented) {
  HalfQuadraticOptions options;
  const std::vector<float> zeros(16, 0.0f);
  const RealZeroGrid of_zeros = FitHalfQuadratic(zeros, {}, options);
  EXPECT_EQ(of_zeros.Decode(of_zeros.Encode(0, 15)), 0.0f);
  // Far from zero and close together: the zero point has eleven bits.
  for (float base : {0.75f, -3.0f, 1e4f, -60000.0f, 1e-7f}) {
    std::vector<float> w(16, base);
    w[3] = base * 1.0001f;
    const RealZeroGrid grid = FitHalfQuadratic(w, {}, options);
    for (float v : w) {
      const float q = grid.Decode(grid.Encode(v, 15));
      ASSERT_TRUE(std::isfinite(q));
      // Half a code, or half the least scale there is.
      EXPECT_LE(std::abs(q - v), std::max(std::abs(base) / 512, 6e-8f)) << base;
    }
  }
}

TEST(HalfQuadraticTest, WeightsThatDoNotCountAreLeftOut) {
  std::vector<float> w = Weights(32, 9, 1);
  const RealZeroGrid without = FitHalfQuadratic(w, {}, HalfQuadraticOptions());
  w.push_back(50);
  std::vector<float> importance(32, 1.0f);
  importance.push_back(0);
  const RealZeroGrid with =
      FitHalfQuadratic(w, importance, HalfQuadraticOptions());
  EXPECT_EQ(with.scale, without.scale);
  EXPECT_EQ(with.zero, without.zero);
}

}  // namespace
}  // namespace quantd
