#include "evaluators/statistics/special_functions.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(SpecialFunctionsTest, NormalQuantilesAreThoseOfTables) {
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(NormalQuantile(0.95), 1.6448536269514722, 1e-14);
  EXPECT_EQ(NormalQuantile(0.5), 0);
  EXPECT_TRUE(std::isinf(NormalQuantile(1)));
  EXPECT_TRUE(std::isnan(NormalQuantile(1.5)));
  for (double p : {1e-12, 0.003, 0.4, 0.77, 0.9999}) {
    EXPECT_NEAR(NormalCdf(NormalQuantile(p)) / p, 1, 1e-12);
  }
}

TEST(SpecialFunctionsTest, StudentsTHasClosedFormsForOneAndTwoDegrees) {
  for (double t : {1e-9, 0.3, 1.0, 4.7, 1e6}) {
    EXPECT_NEAR(StudentTTwoSidedP(t, 1), 2 / M_PI * std::atan(1 / t), 1e-12);
    EXPECT_NEAR(StudentTTwoSidedP(t, 2), 1 - t / std::sqrt(2 + t * t), 1e-12);
    EXPECT_EQ(StudentTTwoSidedP(-t, 5), StudentTTwoSidedP(t, 5));
  }
  for (double p : {0.001, 0.2, 0.5, 0.6, 0.975}) {
    EXPECT_NEAR(StudentTQuantile(p, 1), std::tan(M_PI * (p - 0.5)), 1e-9);
  }
  // A row of every table of t.
  EXPECT_NEAR(StudentTQuantile(0.975, 10), 2.2281388519649385, 1e-10);
  EXPECT_NEAR(StudentTQuantile(0.95, 1e7), NormalQuantile(0.95), 1e-6);
  EXPECT_EQ(StudentTTwoSidedP(std::numeric_limits<double>::infinity(), 3), 0);
}

TEST(SpecialFunctionsTest, ChiSquareHasClosedFormsForOneAndTwoDegrees) {
  for (double x : {0.0, 0.5, 3.84, 40.0}) {
    EXPECT_NEAR(ChiSquareUpperTail(x, 1), std::erfc(std::sqrt(x / 2)), 1e-14);
    EXPECT_NEAR(ChiSquareUpperTail(x, 2), std::exp(-x / 2), 1e-14);
  }
}

TEST(SpecialFunctionsTest, FairCoinCountsHeads) {
  // 1, 5, 10, 10, 5, 1 of 32.
  EXPECT_NEAR(FairCoinMass(1, 5), 5.0 / 32, 1e-15);
  EXPECT_NEAR(FairCoinMass(0, 5), 1.0 / 32, 1e-15);
  EXPECT_NEAR(FairCoinCdf(1, 5), 6.0 / 32, 1e-15);
  EXPECT_EQ(FairCoinCdf(5, 5), 1);
  EXPECT_NEAR(FairCoinCdf(49999, 99999), 0.5, 1e-9);
}

}  // namespace
}  // namespace quantd
