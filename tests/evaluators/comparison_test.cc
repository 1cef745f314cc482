#include "evaluators/comparison.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

v1::Evaluation WithWindows(const std::vector<double>& nll) {
  v1::Evaluation e;
  e.set_name("evaluations/x");
  auto& report = *e.add_perplexities();
  report.mutable_tag()->set_convention("ppl/gptq-512");
  report.mutable_tag()->set_text_digest("d");
  double sum = 0;
  for (double v : nll) {
    report.add_window_nll(v);
    sum += v;
  }
  report.set_perplexity(std::exp(sum / static_cast<double>(nll.size())));
  return e;
}

TEST(ComparisonTest, PairsWindows) {
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison c,
      CompareEvaluations(WithWindows({1, 2, 3}), WithWindows({1.1, 2.3, 3.2})));
  EXPECT_NEAR(c.log_ratio(), 0.2, 1e-12);
  // Differences 0.1, 0.3, 0.2: sd 0.1, over sqrt(3).
  EXPECT_NEAR(c.log_ratio_error(), 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_NEAR(c.ratio(), std::exp(0.2), 1e-12);
  EXPECT_NEAR(c.ratio(), c.candidate_perplexity() / c.baseline_perplexity(),
              1e-12);
}

TEST(ComparisonTest, EqualEvaluationsHaveRatioOneWithoutError) {
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison c,
      CompareEvaluations(WithWindows({1, 5}), WithWindows({1, 5})));
  EXPECT_EQ(c.ratio(), 1);
  EXPECT_EQ(c.ratio_error(), 0);
}

TEST(ComparisonTest, DifferentTagsAreRefusedAndTheDifferenceNamed) {
  v1::Evaluation other = WithWindows({1, 2});
  other.mutable_perplexities(0)->mutable_tag()->set_text_digest("other");
  EXPECT_THAT(CompareEvaluations(WithWindows({1, 2}), other),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("text_digest")));
  EXPECT_THAT(CompareEvaluations(WithWindows({1, 2}), v1::Evaluation()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no perplexity")));
}

}  // namespace
}  // namespace quantd
