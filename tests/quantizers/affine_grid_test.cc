#include "quantizers/affine_grid.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/float_formats.h"

namespace quantd {
namespace {

double ErrorOf(const std::vector<float>& w, const GroupGrid& grid,
               const AffineGridOptions& options, double norm) {
  double error = 0;
  for (float v : w) {
    const int code = EncodeWeight(v, grid, options.max_code());
    error += std::pow(std::abs(DecodeWeight<float>(code, grid) - v), norm);
  }
  return error;
}

std::vector<float> RandomWeights(int count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<float> w(static_cast<size_t>(count));
  for (float& v : w) {
    v = static_cast<float>(static_cast<int64_t>(engine() % 2001) - 900) /
        700.0f;
  }
  return w;
}

TEST(AffineGridTest, AsymmetricGridFollowsTheFormula) {
  AffineGridOptions options;
  options.bits = 2;
  const std::vector<float> w = {-1, 0.5f, 2};
  const GroupGrid grid = FitGroupGrid<float>(w, options);
  EXPECT_EQ(grid.scale, 1.0f);
  EXPECT_EQ(grid.zero, 1);
  EXPECT_EQ(EncodeWeight(-1.0f, grid, 3), 0);
  EXPECT_EQ(EncodeWeight(2.0f, grid, 3), 3);
  EXPECT_EQ(EncodeWeight(0.5f, grid, 3), 1);  // 0.5 rounds to even: 0
  EXPECT_EQ(EncodeWeight(1.5f, grid, 3), 3);  // 1.5 rounds to even: 2
  EXPECT_EQ(EncodeWeight(-1e30f, grid, 3), 0);
  EXPECT_EQ(EncodeWeight(1e30f, grid, 3), 3);
}

TEST(AffineGridTest, SymmetricGridCentresOnHalfTheCodes) {
  AffineGridOptions options;
  options.bits = 4;
  options.symmetric = true;
  const GroupGrid grid =
      FitGroupGrid<float>(std::vector<float>{-0.5f, 7.5f}, options);
  EXPECT_EQ(grid.zero, 8);
  EXPECT_EQ(grid.scale, 1.0f);
}

// ggml's Q8_0: blocks of 32, d = max|w| / 127 in binary16, int8 codes. Signed
// 8-bit groups of 32 are such blocks; ggml divides by d before it is rounded,
// so that few codes are one off.
TEST(AffineGridTest, SignedEightBitGroupsOf32AreBlocksOfQ8_0) {
  AffineGridOptions options;
  options.bits = 8;
  options.symmetric = true;
  options.signed_range = true;
  options.group_size = 32;
  int other = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> w = RandomWeights(32, seed);
    const GroupGrid grid = FitGroupGrid<float>(w, options);
    float most = 0;
    for (const float v : w) most = std::max(most, std::abs(v));
    const float d = most / 127.0f;
    EXPECT_EQ(grid.scale, F16ToF32(F32ToF16(d)));
    for (const float v : w) {
      const int code = EncodeWeight(v, grid, options.max_code()) - grid.zero;
      EXPECT_GE(code, -127);
      EXPECT_LE(code, 127);
      EXPECT_LE(std::abs(static_cast<float>(code) - std::round(v / d)), 1.0f);
      if (static_cast<float>(code) != std::round(v / d)) ++other;
    }
  }
  EXPECT_LT(other, 200 * 32 / 50);
}

TEST(AffineGridTest, RangeAlwaysContainsZero) {
  AffineGridOptions options;
  const GroupGrid positive =
      FitGroupGrid<float>(std::vector<float>{3, 4, 5}, options);
  EXPECT_EQ(positive.zero, 0);
  const GroupGrid negative =
      FitGroupGrid<float>(std::vector<float>{-3, -4, -5}, options);
  EXPECT_EQ(negative.zero, 15);
}

TEST(AffineGridTest, AllZeroGroupDecodesToZero) {
  AffineGridOptions options;
  for (bool symmetric : {false, true}) {
    options.symmetric = symmetric;
    const GroupGrid grid =
        FitGroupGrid<float>(std::vector<float>(8, 0.0f), options);
    EXPECT_EQ(DecodeWeight<float>(EncodeWeight(0.0f, grid, 15), grid), 0);
  }
}

TEST(AffineGridTest, ScalesAreStorableAndPositiveAtEveryMagnitude) {
  AffineGridOptions options;
  for (float magnitude : {1e-30f, 1e-9f, 1e-4f, 1.0f, 1e4f, 1e9f, 1e30f}) {
    const GroupGrid grid =
        FitGroupGrid<float>(std::vector<float>{-magnitude, magnitude}, options);
    EXPECT_GT(grid.scale, 0);
    EXPECT_TRUE(std::isfinite(grid.scale));
    EXPECT_EQ(F16ToF32(F32ToF16(grid.scale)), grid.scale);
  }
}

TEST(AffineGridTest, ErrorIsAtMostHalfAStepInsideTheRange) {
  for (int bits = 2; bits <= 8; ++bits) {
    AffineGridOptions options;
    options.bits = bits;
    const std::vector<float> w = RandomWeights(200, 3);
    const GroupGrid grid = FitGroupGrid<float>(w, options);
    for (float v : w) {
      const float q =
          DecodeWeight<float>(EncodeWeight(v, grid, options.max_code()), grid);
      // One more half step at the ends, where the stored scale and the
      // rounded zero point may cut the range short.
      EXPECT_LE(std::abs(q - v), 1.01f * grid.scale) << bits;
    }
  }
}

TEST(AffineGridTest, ShrinkSearchNeverIncreasesTheErrorItMinimises) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    AffineGridOptions options;
    options.bits = 2 + static_cast<int>(seed % 3);
    std::vector<float> w = RandomWeights(64, seed);
    w[0] = 4;  // an outlier makes shrinking pay
    const GroupGrid plain = FitGroupGrid<float>(w, options);
    options.range_fit = RangeFit::kShrinkSearch;
    const GroupGrid shrunk = FitGroupGrid<float>(w, options);
    const double before = ErrorOf(w, plain, options, options.shrink_norm);
    const double after = ErrorOf(w, shrunk, options, options.shrink_norm);
    EXPECT_LE(after, before);
    if (options.bits == 2) {
      EXPECT_LT(after, before);
    }
  }
}

TEST(AffineGridTest, SignedRangePutsTheGreatestWeightOnTheGrid) {
  AffineGridOptions options;
  options.symmetric = true;
  options.signed_range = true;
  options.bits = 3;
  const std::vector<float> w = {-0.75f, 0.25f, 0.1f, 0};
  const GroupGrid grid = FitGroupGrid<float>(w, options);
  EXPECT_EQ(grid.scale, 0.25f);
  EXPECT_EQ(grid.zero, 4);
  EXPECT_EQ(EncodeWeight(-0.75f, grid, 7), 1);
  EXPECT_EQ(DecodeWeight<float>(1, grid), -0.75f);
  EXPECT_EQ(DecodeWeight<float>(EncodeWeight(0.0f, grid, 7), grid), 0.0f);
  // Error compensation may use the code beyond.
  EXPECT_EQ(EncodeWeight(-9.0f, grid, 7), 0);
}

TEST(AffineGridTest, FloatAndDoubleAgree) {
  const std::vector<float> w = RandomWeights(64, 5);
  const std::vector<double> d(w.begin(), w.end());
  AffineGridOptions options;
  options.range_fit = RangeFit::kShrinkSearch;
  const GroupGrid a = FitGroupGrid<float>(w, options);
  const GroupGrid b = FitGroupGrid<double>(d, options);
  EXPECT_EQ(a.scale, b.scale);
  EXPECT_EQ(a.zero, b.zero);
}

TEST(AffineGridTest, SlopeOfTheScaleMatchesFiniteDifferences) {
  std::mt19937_64 engine(6);
  int checked = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const std::vector<float> f = RandomWeights(48, engine());
    const std::vector<double> w(f.begin(), f.end());
    std::vector<double> importance;
    for (size_t i = 0; i < w.size() && trial % 2 == 1; ++i) {
      importance.push_back(static_cast<double>(i % 4));
    }
    const int bits = 2 + trial % 3;
    const int max_code = (1 << bits) - 1;
    GroupGrid grid;
    grid.zero = 1 << (bits - 1);
    grid.scale = static_cast<float>(0.1 + 0.01 * trial);
    const auto at = [&](double step) {
      GroupGrid moved = grid;
      moved.scale = static_cast<float>(grid.scale * (1 + step));
      return std::pair(ErrorOfScale<double>(w, importance, moved, max_code),
                       static_cast<double>(moved.scale));
    };
    const auto [low, low_scale] = at(-1e-4);
    const auto [high, high_scale] = at(1e-4);
    // Away from jumps: no weight changes its code in between.
    bool jump = false;
    for (double v : w) {
      GroupGrid a = grid;
      GroupGrid b = grid;
      a.scale = static_cast<float>(low_scale);
      b.scale = static_cast<float>(high_scale);
      jump =
          jump || EncodeWeight(v, a, max_code) != EncodeWeight(v, b, max_code);
    }
    if (jump) continue;
    ++checked;
    const double slope =
        ErrorOfScale<double>(w, importance, grid, max_code).slope;
    const double difference =
        (high.error - low.error) / (high_scale - low_scale);
    EXPECT_NEAR(slope, difference, 1e-4 * std::max(std::abs(slope), 1.0));
  }
  EXPECT_GT(checked, 10);
}

TEST(AffineGridTest, ScaleDescentNeverEndsAboveItsStart) {
  int near_best = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    AffineGridOptions options;
    options.bits = 2 + static_cast<int>(seed % 3);
    options.symmetric = seed % 2 == 0;
    std::vector<float> w = RandomWeights(128, seed);
    w[3] *= 2;
    std::vector<float> importance(w.size(), 1.0f);
    importance[7] = 0;
    w[7] = 1000;  // an outlier that is kept elsewhere
    const GroupGrid first = FitGroupGrid<float>(w, importance, options);
    options.range_fit = RangeFit::kScaleDescent;
    const GroupGrid fitted = FitGroupGrid<float>(w, importance, options);
    const auto error = [&](const GroupGrid& grid) {
      return ErrorOfScale<float>(w, importance, grid, options.max_code()).error;
    };
    EXPECT_LT(error(fitted), error(first)) << seed;
    EXPECT_EQ(fitted.zero, first.zero);
    EXPECT_EQ(F16ToF32(F32ToF16(fitted.scale)), fitted.scale);
    // A fine search over scales finds little more, unless the descent stopped
    // in a valley of its own.
    GroupGrid grid = first;
    double best = error(first);
    for (int i = 100; i <= 1100; ++i) {
      grid.scale = first.scale * static_cast<float>(i) / 1000;
      best = std::min(best, error(grid));
    }
    near_best += error(fitted) < 1.15 * best;
    EXPECT_LT(error(fitted), 1.5 * best) << seed;
  }
  EXPECT_GE(near_best, 25);
}

TEST(AffineGridTest, ScaleDescentDoesNotDependOnTheSizeOfTheWeights) {
  AffineGridOptions options;
  options.bits = 3;
  options.symmetric = true;
  options.range_fit = RangeFit::kScaleDescent;
  std::vector<float> w = RandomWeights(64, 9);
  w[0] = 3;
  const GroupGrid grid = FitGroupGrid<float>(w, options);
  for (float& v : w) v /= 256;
  EXPECT_EQ(FitGroupGrid<float>(w, options).scale, grid.scale / 256);
}

}  // namespace
}  // namespace quantd
