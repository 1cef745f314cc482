#include "evaluators/degradation_fit.h"

#include <cmath>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

// Sizes, tokens and bits of the paper's kind; ln degradation scatters by
// `scatter`.
std::vector<DegradationPoint> Points(double scatter, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<DegradationPoint> points;
  for (double parameters : {160e6, 410e6, 1e9, 2.8e9, 12e9}) {
    for (double tokens : {2e9, 1e10, 5e10, 3e11}) {
      for (double bits : {2, 3, 4}) {
        const double degradation =
            kPublishedDegradationLaw.Degradation(parameters, tokens, bits) *
            std::exp(scatter * normal(engine));
        points.push_back({.parameters = parameters,
                          .training_tokens = tokens,
                          .bits = bits,
                          .quantized_loss = 3 + degradation,
                          .degradation = degradation});
      }
    }
  }
  return points;
}

TEST(DegradationFitTest, PublishedLawHasItsValues) {
  const DegradationLaw& law = kPublishedDegradationLaw;
  EXPECT_NEAR(law.Degradation(1e9, 1e12, 4), 0.15396, 5e-6);
  EXPECT_NEAR(law.Degradation(1e9, 1e12, 3), 0.74844, 5e-6);
  EXPECT_NEAR(law.Degradation(7e9, 1e14, 4), 1.11309, 5e-6);
  EXPECT_NEAR(law.TokensAtDegradation(0.2, 7e9, 4), 3.8043e12, 5e7);
}

TEST(DegradationFitTest, RecoversTheLawOfExactPoints) {
  ASSERT_OK_AND_ASSIGN(const DegradationFit fit, FitDegradation(Points(0), {}));
  EXPECT_NEAR(fit.law.k, 0.017, 1e-8);
  EXPECT_NEAR(fit.law.beta, 0.5251, 1e-9);
  EXPECT_NEAR(fit.law.alpha, 0.2261, 1e-9);
  EXPECT_NEAR(fit.law.gamma, 5.4967, 1e-9);
  EXPECT_NEAR(fit.r_squared, 1, 1e-12);
  EXPECT_EQ(fit.outliers, 0u);
  for (double error : fit.errors) EXPECT_LT(error, 1e-8);
  ASSERT_TRUE(fit.leave_one_size_out_error.has_value());
  EXPECT_LT(*fit.leave_one_size_out_error, 1e-8);
}

TEST(DegradationFitTest, ErrorsAreThoseOfRepeatedExperiments) {
  constexpr int kRepeats = 400;
  double covered = 0;
  double predicted = 0;
  double squares = 0;
  double error = 0;
  const double truth = kPublishedDegradationLaw.Degradation(7e9, 1e12, 3);
  std::mt19937 engine(99);
  std::normal_distribution<double> normal;
  for (unsigned seed = 0; seed < kRepeats; ++seed) {
    ASSERT_OK_AND_ASSIGN(const DegradationFit fit,
                         FitDegradation(Points(0.2, seed), {}));
    const double off = fit.law.beta - 0.5251;
    squares += off * off;
    error += fit.errors[1];
    covered += std::abs(off) < 2.0 * fit.errors[1];
    ASSERT_OK_AND_ASSIGN(const DegradationPrediction prediction,
                         PredictDegradation(fit, 7e9, 1e12, 3, 0.9));
    const double measured = truth * std::exp(0.2 * normal(engine));
    predicted += prediction.interval.lower < measured &&
                 measured < prediction.interval.upper;
  }
  EXPECT_NEAR(error / kRepeats, std::sqrt(squares / kRepeats),
              0.1 * error / kRepeats);
  EXPECT_NEAR(covered / kRepeats, 0.95, 0.03);
  EXPECT_NEAR(predicted / kRepeats, 0.9, 0.04);
}

TEST(DegradationFitTest, FewPointsOffTheLawDoNotBendIt) {
  std::vector<DegradationPoint> points = Points(0.01);
  // The longest trained of the largest size went wrong.
  for (size_t i = points.size() - 3; i < points.size(); ++i) {
    points[i].degradation *= 20;
  }
  ASSERT_OK_AND_ASSIGN(const DegradationFit fit, FitDegradation(points, {}));
  EXPECT_GT(std::abs(fit.least_squares.beta - 0.5251), 0.05);
  EXPECT_NEAR(fit.law.beta, 0.5251, 0.01);
  EXPECT_GE(fit.outliers, 3u);
}

TEST(DegradationFitTest, UnusablePointsAreCountedNotFitted) {
  std::vector<DegradationPoint> points = Points(0);
  points[0].degradation = -0.001;
  points[1].degradation = 0;
  points[2].quantized_loss = 11;
  points[2].degradation = 8;
  ASSERT_OK_AND_ASSIGN(
      const DegradationFit fit,
      FitDegradation(points, {.highest_loss = std::log(50304.0)}));
  EXPECT_EQ(fit.not_positive, 2u);
  EXPECT_EQ(fit.above_highest_loss, 1u);
  EXPECT_EQ(fit.points, points.size() - 3);
  EXPECT_NEAR(fit.law.gamma, 5.4967, 1e-9);
}

TEST(DegradationFitTest, RefusesWhatDoesNotDetermineALaw) {
  std::vector<DegradationPoint> points = Points(0);
  EXPECT_THAT(FitDegradation(absl::MakeSpan(points).first(5), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("5 usable points of 5")));
  std::vector<DegradationPoint> one_size(points.begin(), points.begin() + 12);
  EXPECT_THAT(FitDegradation(one_size, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("same parameters")));
  // Every size trained on twenty tokens for each parameter.
  std::vector<DegradationPoint> together = points;
  for (DegradationPoint& point : together) {
    point.training_tokens = 20 * point.parameters;
  }
  EXPECT_THAT(FitDegradation(together, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("vary together")));
  points[3].bits = 0;
  EXPECT_THAT(FitDegradation(points, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("point 3: bits is 0")));
  points[3].bits = 2;
  points[4].degradation = NAN;
  EXPECT_THAT(
      FitDegradation(points, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("point 4")));
}

TEST(DegradationFitTest, TwoSizesFitWithoutLeavingOneOut) {
  std::vector<DegradationPoint> points = Points(0.1);
  points.resize(24);
  ASSERT_OK_AND_ASSIGN(const DegradationFit fit, FitDegradation(points, {}));
  EXPECT_FALSE(fit.leave_one_size_out_error.has_value());
}

TEST(DegradationFitTest, PredictionsNeedSizes) {
  ASSERT_OK_AND_ASSIGN(const DegradationFit fit,
                       FitDegradation(Points(0.1), {}));
  EXPECT_THAT(
      PredictDegradation(fit, 0, 1, 1, 0.9),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 parameters")));
  EXPECT_THAT(
      PredictDegradation(fit, 1, 1, 1, 1),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("confidence 1")));
}

}  // namespace
}  // namespace quantd
