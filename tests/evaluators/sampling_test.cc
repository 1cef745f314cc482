#include "evaluators/sampling.h"

#include <cmath>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f),
                                    std::log(0.2f), std::log(0.3f)};

TEST(SamplingTest, LogSoftmaxIsNormalised) {
  // A shift of all logits changes nothing, however large.
  const std::vector<double> log_p = LogSoftmax({1000.0f, 1000.0f, 1001.0f});
  double sum = 0;
  for (double value : log_p) sum += std::exp(value);
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_NEAR(log_p[2] - log_p[0], 1, 1e-12);
}

TEST(SamplingTest, GreedyTakesTheFirstOfEqualLogits) {
  EXPECT_EQ(ArgMax({1, 3, 3, 2}), 1);
  std::mt19937_64 engine(1);
  EXPECT_EQ(SampleToken({1, 3, 3, 2}, {}, engine), 1);
}

TEST(SamplingTest, TopKKeepsTheLikeliest) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 2;
  const auto kept = SamplingDistribution(kLogits, options);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].first, 1);
  EXPECT_NEAR(kept[0].second, 4.0 / 7, 1e-6);
  EXPECT_EQ(kept[1].first, 3);
  EXPECT_NEAR(kept[1].second, 3.0 / 7, 1e-6);
}

TEST(SamplingTest, TopPKeepsTheFewestThatReachIt) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_p = 0.65;
  EXPECT_EQ(SamplingDistribution(kLogits, options).size(), 2u);
  options.top_p = 0.75;
  EXPECT_EQ(SamplingDistribution(kLogits, options).size(), 3u);
  options.top_p = 1e-9;
  EXPECT_EQ(SamplingDistribution(kLogits, options).size(), 1u);
  options.top_p = 1;
  EXPECT_EQ(SamplingDistribution(kLogits, options).size(), 4u);
}

TEST(SamplingTest, TemperatureSharpensAndFlattens) {
  SamplingOptions options;
  options.temperature = 0.5;
  // Squared probabilities: 16 / (1 + 16 + 4 + 9).
  EXPECT_NEAR(SamplingDistribution(kLogits, options)[0].second, 16.0 / 30,
              1e-6);
}

TEST(SamplingTest, DrawsFollowTheDistribution) {
  SamplingOptions options;
  options.temperature = 1;
  std::mt19937_64 engine(7);
  std::map<int32_t, int> counts;
  const int draws = 20000;
  for (int i = 0; i < draws; ++i)
    ++counts[SampleToken(kLogits, options, engine)];
  const double expected[] = {0.1, 0.4, 0.2, 0.3};
  double chi_square = 0;
  for (int t = 0; t < 4; ++t) {
    const double want = expected[t] * draws;
    chi_square += (counts[t] - want) * (counts[t] - want) / want;
  }
  // 99.9 % quantile with 3 degrees of freedom.
  EXPECT_LT(chi_square, 16.27);
}

}  // namespace
}  // namespace quantd
