#include "evaluators/logit_divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"

namespace quantd {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TargetDivergence Compare(const std::vector<float>& p,
                         const std::vector<float>& q, int32_t target = 0) {
  DivergenceScratch scratch;
  return CompareLogits(p, q, target, &scratch);
}

// Logits of given probabilities: exact to float32, so the expectations are
// computed from the logits again.
std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) {
    logits.push_back(static_cast<float>(std::log(p)));
  }
  return logits;
}

// Straight from the definitions, in extended precision.
struct Expected {
  long double kl = 0, reverse = 0, js = 0, p_entropy = 0, q_entropy = 0;
  std::vector<long double> p, q;
};

std::vector<long double> Softmax(const std::vector<float>& logits) {
  std::vector<long double> p;
  long double sum = 0;
  for (float v : logits) {
    p.push_back(std::exp(static_cast<long double>(v)));
    sum += p.back();
  }
  for (long double& v : p) v /= sum;
  return p;
}

Expected Direct(const std::vector<float>& a, const std::vector<float>& b) {
  Expected e;
  e.p = Softmax(a);
  e.q = Softmax(b);
  for (size_t i = 0; i < a.size(); ++i) {
    const long double p = e.p[i], q = e.q[i], m = (p + q) / 2;
    e.kl += p * std::log(p / q);
    e.reverse += q * std::log(q / p);
    e.js += (p * std::log(p / m) + q * std::log(q / m)) / 2;
    e.p_entropy -= p * std::log(p);
    e.q_entropy -= q * std::log(q);
  }
  return e;
}

void ExpectDirect(const std::vector<float>& a, const std::vector<float>& b) {
  const Expected e = Direct(a, b);
  const int32_t target = static_cast<int32_t>(a.size() / 2);
  const TargetDivergence d = Compare(a, b, target);
  const size_t t = static_cast<size_t>(target);
  EXPECT_NEAR(d.kl, static_cast<double>(e.kl), 1e-12);
  EXPECT_NEAR(d.reverse_kl, static_cast<double>(e.reverse), 1e-12);
  EXPECT_NEAR(d.js, static_cast<double>(e.js), 1e-12);
  EXPECT_NEAR(d.baseline_entropy, static_cast<double>(e.p_entropy), 1e-12);
  EXPECT_NEAR(d.candidate_entropy, static_cast<double>(e.q_entropy), 1e-12);
  EXPECT_NEAR(std::exp(-d.baseline_nll), static_cast<double>(e.p[t]), 1e-13);
  EXPECT_NEAR(std::exp(-d.candidate_nll), static_cast<double>(e.q[t]), 1e-13);
  EXPECT_NEAR(d.baseline_confidence,
              static_cast<double>(*std::max_element(e.p.begin(), e.p.end())),
              1e-13);
  EXPECT_NEAR(d.candidate_confidence,
              static_cast<double>(*std::max_element(e.q.begin(), e.q.end())),
              1e-13);
}

TEST(LogitDivergenceTest, TwoTokensMatchTheirClosedForm) {
  // p = (x, 1 - x), q = (y, 1 - y) through logit differences of 1 and -2.
  const double x = 1 / (1 + std::exp(-1.0));
  const double y = 1 / (1 + std::exp(2.0));
  const auto kl = [](double a, double b) {
    return a * std::log(a / b) + (1 - a) * std::log((1 - a) / (1 - b));
  };
  const double m = (x + y) / 2;
  const TargetDivergence d = Compare({1, 0}, {-2, 0}, 1);
  EXPECT_NEAR(d.kl, kl(x, y), 1e-14);
  EXPECT_NEAR(d.reverse_kl, kl(y, x), 1e-14);
  EXPECT_NEAR(d.js, (kl(x, m) + kl(y, m)) / 2, 1e-14);
  EXPECT_NEAR(d.baseline_nll, -std::log(1 - x), 1e-14);
  EXPECT_NEAR(d.candidate_nll, -std::log(1 - y), 1e-14);
  EXPECT_NEAR(d.baseline_entropy, -x * std::log(x) - (1 - x) * std::log(1 - x),
              1e-14);
  EXPECT_EQ(d.baseline_top, 0);
  EXPECT_EQ(d.candidate_top, 1);
  EXPECT_NEAR(d.baseline_confidence, x, 1e-15);
  EXPECT_NEAR(d.candidate_confidence, 1 - y, 1e-15);
  EXPECT_EQ(d.top_overlap, 1) << "of two tokens both are among the first five";
}

// ln V - H(p) when the candidate knows nothing.
TEST(LogitDivergenceTest, FromUniformTheDivergenceIsTheMissingEntropy) {
  const std::vector<float> p = Logs({0.5, 0.25, 0.125, 0.0625, 0.0625});
  const TargetDivergence d = Compare(p, std::vector<float>(5, 3.0f));
  EXPECT_NEAR(d.candidate_entropy, std::log(5.0), 1e-14);
  EXPECT_NEAR(d.kl, std::log(5.0) - d.baseline_entropy, 1e-14);
  EXPECT_NEAR(d.baseline_entropy, 1.875 * std::log(2.0), 1e-7);
}

TEST(LogitDivergenceTest, RandomRowsMatchTheDefinitions) {
  std::mt19937_64 engine(3);
  std::normal_distribution<float> normal(0, 1);
  for (const int size : {1, 2, 3, 5, 6, 31, 4096}) {
    for (const float noise : {1e-4f, 0.1f, 3.0f}) {
      std::vector<float> a, b;
      for (int i = 0; i < size; ++i) {
        a.push_back(4 * normal(engine));
        b.push_back(a.back() + noise * normal(engine));
      }
      ExpectDirect(a, b);
      // Logits say the same after a shift.
      for (float& v : b) v += 512;
      std::vector<float> shifted_back = b;
      for (float& v : shifted_back) v -= 512;
      EXPECT_NEAR(Compare(a, b).kl, Compare(a, shifted_back).kl, 1e-12);
    }
  }
}

TEST(LogitDivergenceTest, EqualRowsHaveNoDistanceAtAll) {
  std::mt19937_64 engine(5);
  std::normal_distribution<float> normal(0, 5);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> a(257);
    for (float& v : a) v = normal(engine);
    const TargetDivergence d = Compare(a, a, 17);
    EXPECT_EQ(d.kl, 0);
    EXPECT_EQ(d.reverse_kl, 0);
    EXPECT_EQ(d.js, 0);
    EXPECT_EQ(d.baseline_nll, d.candidate_nll);
    EXPECT_EQ(d.baseline_entropy, d.candidate_entropy);
    EXPECT_EQ(d.baseline_top, d.candidate_top);
    EXPECT_EQ(d.top_overlap, 1);
  }
}

TEST(LogitDivergenceTest, DirectionsAreNamedAndJsIsSymmetricAndBounded) {
  const std::vector<float> a = {9, 0, 1, 2, 3, 4};
  const std::vector<float> b = {0, 9, 1, 2, 3, 4};
  const TargetDivergence there = Compare(a, b);
  const TargetDivergence back = Compare(b, a);
  EXPECT_EQ(there.kl, back.reverse_kl);
  EXPECT_EQ(there.reverse_kl, back.kl);
  EXPECT_NEAR(there.js, back.js, 1e-15);
  EXPECT_LT(there.js, std::log(2.0));
  const TargetDivergence apart = Compare({500, 0}, {0, 500});
  EXPECT_NEAR(apart.js, std::log(2.0), 1e-15);
  EXPECT_NEAR(apart.kl, 500, 1e-12);
}

TEST(LogitDivergenceTest, ProbabilitiesThatUnderflowAddNothing) {
  const TargetDivergence d = Compare({0, -2000, -1000}, {0, -1000, -2000}, 1);
  EXPECT_EQ(d.kl, 0);
  EXPECT_EQ(d.js, 0);
  EXPECT_EQ(d.baseline_nll, 2000);
  EXPECT_EQ(d.candidate_nll, 1000);
}

TEST(LogitDivergenceTest, OfEquallyLikelyTokensTheFirstIsOnTop) {
  const TargetDivergence d =
      Compare({1, 7, 7, 0, 0, 0, 0, 0}, {1, 7, 6, 0, 0, 0, 0, 0});
  EXPECT_EQ(d.baseline_top, 1);
  EXPECT_EQ(d.candidate_top, 1);
  // The first five of both: 1, 2, 0, 3, 4.
  EXPECT_EQ(d.top_overlap, 1);
}

TEST(LogitDivergenceTest, TopFiveCountsSharedTokensWhateverTheirOrder) {
  const TargetDivergence d =
      Compare({10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, {6, 7, 8, 0, 0, 5, 4, 9, 2, 1});
  // {0, 1, 2, 3, 4} and {7, 2, 1, 0, 5}.
  EXPECT_DOUBLE_EQ(d.top_overlap, 3.0 / 5);
}

TEST(LogitDivergenceTest, NaNAndLostProbabilitiesDoNotPassForNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& broken : {std::vector<float>{nan, 1, 2},
                                           {1, 2, nan},
                                           {1, kInfinity, 2},
                                           std::vector<float>(3, -kInfinity)}) {
    EXPECT_TRUE(std::isnan(Compare({1, 2, 3}, broken).candidate_nll));
    EXPECT_FALSE(std::isfinite(Compare({1, 2, 3}, broken).kl));
    EXPECT_FALSE(std::isfinite(Compare(broken, {1, 2, 3}).kl));
  }
  EXPECT_EQ(Compare({1, 2, 3}, {1, -kInfinity, 3}).kl, kInfinity);
  EXPECT_TRUE(std::isfinite(Compare({1, -kInfinity, 3}, {1, 2, 3}).kl));
  EXPECT_EQ(Compare({1, -kInfinity, 3}, {1, -kInfinity, 3}).kl, 0);
}

}  // namespace
}  // namespace quantd
