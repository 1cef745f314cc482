#include "kernels/logit_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace quantd {
namespace {

// By the definitions, in long double.
LogitSummary Expected(const std::vector<float>& row) {
  const auto top = std::max_element(row.begin(), row.end());
  long double sum = 0;
  for (const float x : row) sum += std::exp((long double)x - *top);
  LogitSummary expected;
  expected.top = static_cast<int32_t>(top - row.begin());
  expected.log_sum_exp = static_cast<double>(*top + std::log(sum));
  long double entropy = 0;
  for (const float x : row) {
    const long double ln_p = (long double)x - *top - std::log(sum);
    const long double p = std::exp(ln_p);
    if (p > 0) entropy -= p * ln_p;
  }
  expected.entropy = static_cast<double>(entropy);
  return expected;
}

TEST(LogitSummaryTest, IsWhatTheDefinitionsGive) {
  std::mt19937 engine(7);
  for (const size_t count :
       {1u, 2u, 7u, 16u, 17u, 1023u, 1024u, 4096u, 50257u}) {
    for (const float width : {0.1f, 3.0f, 40.0f}) {
      std::normal_distribution<float> draw(1.0f, width);
      std::vector<float> row(count);
      for (float& x : row) x = draw(engine);
      const LogitSummary expected = Expected(row);
      const LogitSummary got = SummarizeLogits(row);
      EXPECT_NEAR(got.log_sum_exp, expected.log_sum_exp, 1e-6) << count;
      EXPECT_NEAR(got.entropy, expected.entropy, 2e-6) << count;
      EXPECT_EQ(got.top, expected.top) << count;
      EXPECT_GE(got.entropy, 0);
    }
  }
}

TEST(LogitSummaryTest, OfEqualLogitsTheFirstIsTheLikeliest) {
  const LogitSummary uniform = SummarizeLogits(std::vector<float>(1000, 2.5f));
  EXPECT_EQ(uniform.top, 0);
  EXPECT_NEAR(uniform.entropy, std::log(1000.0), 1e-6);
  EXPECT_NEAR(uniform.log_sum_exp, 2.5 + std::log(1000.0), 1e-6);
  std::vector<float> row(100, 0.0f);
  row[37] = row[80] = 1.0f;
  EXPECT_EQ(SummarizeLogits(row).top, 37);
}

TEST(LogitSummaryTest, ImpossibleTokensAddNothing) {
  const float never = -std::numeric_limits<float>::infinity();
  for (const size_t count : {5u, 64u}) {
    std::vector<float> row(count, never);
    row[1] = row[3] = 1.0f;
    // Where a register holds them, minus infinity is as bad as NaN: a network
    // does not make it.
    const LogitSummary summary = SummarizeLogits(row);
    if (std::isnan(summary.log_sum_exp)) continue;
    EXPECT_NEAR(summary.log_sum_exp, 1 + std::log(2.0), 1e-6);
    EXPECT_NEAR(summary.entropy, std::log(2.0), 1e-6);
  }
}

TEST(LogitSummaryTest, NaNAndInfinityAnywhereMakeNaN) {
  for (const float bad :
       {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const size_t count : {3u, 16u, 33u, 2050u}) {
      for (const size_t at : {size_t{0}, count / 2, count - 1}) {
        std::vector<float> row(count, 0.5f);
        row[at] = bad;
        const LogitSummary summary = SummarizeLogits(row);
        EXPECT_TRUE(std::isnan(summary.log_sum_exp)) << count << " " << at;
        EXPECT_TRUE(std::isnan(summary.entropy)) << count << " " << at;
      }
    }
  }
}

TEST(LogitSummaryTest, PartsJoinToTheWhole) {
  std::mt19937 engine(3);
  std::normal_distribution<float> draw(-2.0f, 4.0f);
  std::vector<float> row(3000);
  for (float& x : row) x = draw(engine);
  row[40] = row[2900] = 30.0f;
  const auto join = [&](size_t at) {
    const absl::Span<const float> whole(row);
    return JoinSummaries(SummarizeLogits(whole.first(at)),
                         SummarizeLogits(whole.subspan(at)),
                         static_cast<int32_t>(at));
  };
  for (const size_t at : {1u, 39u, 41u, 1500u, 2999u}) {
    const LogitSummary expected = Expected(row);
    const LogitSummary joined = join(at);
    EXPECT_NEAR(joined.log_sum_exp, expected.log_sum_exp, 1e-6) << at;
    EXPECT_NEAR(joined.entropy, expected.entropy, 2e-6) << at;
    // The first of the equal ones, whichever parts they lie in.
    EXPECT_EQ(joined.top, 40) << at;
    EXPECT_EQ(joined.top_logit, 30.0f) << at;
  }
  row[40] = 0;
  EXPECT_EQ(join(1500).top, 2900);
  for (const size_t bad : {0u, 2999u}) {
    row[bad] = std::nanf("");
    EXPECT_TRUE(std::isnan(join(1500).log_sum_exp)) << bad;
    EXPECT_TRUE(std::isnan(join(1500).entropy)) << bad;
    row[bad] = 0;
  }
}

}  // namespace
}  // namespace quantd
