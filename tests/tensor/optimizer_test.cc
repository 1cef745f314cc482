// Optimizers against their papers' recurrences, written out; schedules by hand.
#include "tensor/optimizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::DoubleNear;
using ::testing::FloatEq;
using ::testing::FloatNear;
using Kind = OptimizerOptions::Kind;

Tensor Values(std::vector<float> values) {
  const auto size = static_cast<int64_t>(values.size());
  return Tensor::FromValues({size}, values);
}

// Gradients of three steps on two numbers.
const std::vector<std::vector<float>> kGradients = {
    {0.5f, -2.0f}, {0.25f, 0.0f}, {-1.0f, 3.0f}};

std::vector<float> ThreeSteps(const OptimizerOptions& options, double rate) {
  Optimizer optimizer(options);
  std::vector<Tensor> x = {Values({1.0f, -1.0f})};
  for (const auto& g : kGradients) {
    const std::vector<Tensor> gradients = {Values(g)};
    optimizer.Step(rate, gradients, absl::MakeSpan(x));
  }
  return {x[0].values().begin(), x[0].values().end()};
}

TEST(OptimizerTest, SgdWithMomentumAndDecay) {
  OptimizerOptions options;
  options.kind = Kind::kSgd;
  options.momentum = 0.9;
  options.weight_decay = 0.1;
  double x = 1, v = 0;
  for (const auto& g : kGradients) {
    v = 0.9 * v + g[0] + 0.1 * x;
    x -= 0.01 * v;
  }
  EXPECT_THAT(ThreeSteps(options, 0.01)[0],
              FloatNear(static_cast<float>(x), 1e-6f));
}

TEST(OptimizerTest, SignsMakeEqualSteps) {
  OptimizerOptions options;
  options.kind = Kind::kSignSgd;
  // -1 -1 +1 and +1 0 -1 steps; a zero gradient does not move.
  EXPECT_THAT(ThreeSteps(options, 0.125),
              testing::ElementsAre(FloatEq(1 - 0.125f), FloatEq(-1)));
}

TEST(OptimizerTest, AdamFollowsAlgorithmOne) {
  double x = -1, m = 0, s = 0;
  int t = 0;
  for (const auto& g : kGradients) {
    ++t;
    m = 0.9 * m + 0.1 * g[1];
    s = 0.999 * s + 0.001 * g[1] * g[1];
    x -= 0.01 * (m / (1 - std::pow(0.9, t))) /
         (std::sqrt(s / (1 - std::pow(0.999, t))) + 1e-8);
  }
  EXPECT_THAT(ThreeSteps({}, 0.01)[1], FloatNear(static_cast<float>(x), 1e-6f));
}

TEST(OptimizerTest, AdamWDecaysBesideTheStep) {
  OptimizerOptions plain;
  plain.kind = Kind::kAdamW;
  EXPECT_EQ(ThreeSteps(plain, 0.01), ThreeSteps({}, 0.01));
  OptimizerOptions decayed = plain;
  decayed.weight_decay = 0.5;
  // A number without gradients only decays.
  Optimizer optimizer(decayed);
  std::vector<Tensor> x = {Values({2.0f})};
  const std::vector<Tensor> zero = {Values({0.0f})};
  for (int i = 0; i < 3; ++i) optimizer.Step(0.1, zero, absl::MakeSpan(x));
  EXPECT_THAT(x[0].data()[0], FloatNear(2 * std::pow(0.95f, 3.0f), 1e-6f));
}

TEST(OptimizerTest, AdaMaxFollowsAlgorithmTwo) {
  OptimizerOptions options;
  options.kind = Kind::kAdaMax;
  double x = -1, m = 0, u = 0;
  int t = 0;
  for (const auto& g : kGradients) {
    ++t;
    m = 0.9 * m + 0.1 * g[1];
    u = std::max(0.999 * u, std::abs(double{g[1]}));
    x -= 0.01 / (1 - std::pow(0.9, t)) * m / u;
  }
  EXPECT_THAT(ThreeSteps(options, 0.01)[1],
              FloatNear(static_cast<float>(x), 1e-6f));
}

TEST(OptimizerTest, FactorsScaleTheRateOfAParameter) {
  Optimizer optimizer(OptimizerOptions{.kind = Kind::kSgd});
  std::vector<Tensor> x = {Values({0.0f}), Values({0.0f})};
  const std::vector<Tensor> g = {Values({1.0f}), Values({1.0f})};
  optimizer.Step(0.5, g, absl::MakeSpan(x), {1, 0.25});
  EXPECT_EQ(x[0].data()[0], -0.5f);
  EXPECT_EQ(x[1].data()[0], -0.125f);
}

TEST(LearningRateTest, Schedules) {
  LearningRateSchedule schedule;
  schedule.peak = 2;
  schedule.steps = 10;
  EXPECT_EQ(LearningRateAt(schedule, 9), 2);
  schedule.shape = LearningRateSchedule::Shape::kLinear;
  EXPECT_EQ(LearningRateAt(schedule, 0), 2);
  EXPECT_EQ(LearningRateAt(schedule, 5), 1);
  schedule.shape = LearningRateSchedule::Shape::kCosine;
  EXPECT_EQ(LearningRateAt(schedule, 0), 2);
  EXPECT_THAT(LearningRateAt(schedule, 5), DoubleNear(1, 1e-12));
  EXPECT_GT(LearningRateAt(schedule, 9), 0);
  schedule.warmup = 4;
  EXPECT_THAT(LearningRateAt(schedule, 0), DoubleNear(0.4, 1e-12));
  EXPECT_THAT(LearningRateAt(schedule, 3), DoubleNear(1.6, 1e-12));
  EXPECT_EQ(LearningRateAt(schedule, 4), 2);
  EXPECT_THAT(LearningRateAt(schedule, 7), DoubleNear(1, 1e-12));
}

TEST(ClipByGlobalNormTest, ScalesOnlyWhatIsTooLong) {
  std::vector<Tensor> g = {Values({3, 0}), Values({4})};
  EXPECT_EQ(ClipByGlobalNorm(10, absl::MakeSpan(g)), 5);
  EXPECT_EQ(g[1].data()[0], 4);
  EXPECT_EQ(ClipByGlobalNorm(2.5, absl::MakeSpan(g)), 5);
  EXPECT_EQ(g[0].data()[0], 1.5f);
  EXPECT_EQ(g[1].data()[0], 2);
}

}  // namespace
}  // namespace quantd
