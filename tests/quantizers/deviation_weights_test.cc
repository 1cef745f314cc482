// Weights of tokens against numbers computed by hand.
#include "quantizers/deviation_weights.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"

namespace quantd {
namespace {

// Predictions as softmax makes them of logarithms.
//   row 0: 1/4, 1/4, 1/4, 1/4                     H = log 4, all there is
//   row 1: 1/2, 1/4, 1/8, 1/8     H = (1/2 + 2/4 + 3/8 + 3/8) log 2 = 7/4 log 2
//   row 2: 9/10 and three times 1/30
//          H = 0.9 log(10/9) + 0.1 log 30 = 0.434944202
//   row 3: almost certain
//   row 4: certain: the others are never
Tensor Logits() {
  const float ln2 = std::log(2.0f);
  const float never = -std::numeric_limits<float>::infinity();
  return Tensor::FromValues({5, 4}, {1000,
                                     1000,
                                     1000,
                                     1000,  //
                                     3 * ln2,
                                     2 * ln2,
                                     ln2,
                                     ln2,  //
                                     std::log(27.0f),
                                     0,
                                     0,
                                     0,  //
                                     -300,
                                     400,
                                     -300,
                                     -300,  //
                                     never,
                                     never,
                                     2.0f,
                                     never});
}

TEST(DeviationWeightsTest, EntropyIsAShareOfTheGreatest) {
  const Tensor logits = Logits();
  EXPECT_NEAR(RelativeEntropy(logits, 0), 1, 1e-12);
  EXPECT_NEAR(RelativeEntropy(logits, 1), 7.0 / 8, 1e-6);
  EXPECT_NEAR(RelativeEntropy(logits, 2), 0.434944202 / 1.386294361, 1e-6);
  EXPECT_NEAR(RelativeEntropy(logits, 3), 0, 1e-12);
  EXPECT_EQ(RelativeEntropy(logits, 4), 0);
}

TEST(DeviationWeightsTest, UnsureTokensCountMore) {
  const Tensor logits = Logits();
  DeviationWeights weights;
  weights.weight = 2;
  EXPECT_NEAR(weights.Of(logits, 0), 3, 1e-12);
  EXPECT_NEAR(weights.Of(logits, 1), 1 + 2 * 7.0 / 8, 1e-6);
  EXPECT_NEAR(weights.Of(logits, 2), 1.627491844, 1e-6);
  EXPECT_EQ(weights.Of(logits, 3), 1);
  weights.power = 2;
  EXPECT_NEAR(weights.Of(logits, 1), 1 + 2 * 49.0 / 64, 1e-6);
  weights.power = 0.5;
  EXPECT_NEAR(weights.Of(logits, 1), 2.870828693, 1e-6);
  EXPECT_EQ(weights.Of(logits, 4), 1);
}

TEST(DeviationWeightsTest, WithoutAWeightAllCountAlike) {
  const Tensor logits = Logits();
  DeviationWeights weights;
  for (const double power : {0.01, 1.0, 10.0}) {
    weights.power = power;
    for (int64_t row = 0; row < logits.rows(); ++row) {
      EXPECT_EQ(weights.Of(logits, row), 1);
    }
  }
}

}  // namespace
}  // namespace quantd
