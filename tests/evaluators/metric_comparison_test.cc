#include "evaluators/metric_comparison.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "evaluators/comparison.h"
#include "evaluators/statistics/bootstrap.h"
#include "evaluators/statistics/class_scores.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

v1::TaskReport Report(const std::string& task,
                      const std::vector<double>& scores) {
  v1::TaskReport report;
  report.mutable_tag()->set_task(task);
  report.set_item_count(scores.size());
  v1::TaskMetric* metric = report.add_metrics();
  metric->set_name("acc");
  metric->set_higher_is_better(true);
  double sum = 0;
  for (const double score : scores) {
    metric->add_item_values(static_cast<float>(score));
    report.add_item_choice(score > 0.5 ? 0 : 1);
    sum += score;
  }
  metric->set_value(sum / static_cast<double>(scores.size()));
  return report;
}

// n items, of which b are right only at first and c only at second.
std::pair<v1::TaskReport, v1::TaskReport> Pair(const std::string& task, int n,
                                               int b, int c) {
  std::vector<double> first, second;
  for (int i = 0; i < n; ++i) {
    const bool both = i >= b + c && i % 2 == 0;
    first.push_back(i < b || both ? 1 : 0);
    second.push_back((i >= b && i < b + c) || both ? 1 : 0);
  }
  return {Report(task, first), Report(task, second)};
}

// (z_0.95 + z_0.8) sqrt(v / n) with v of one flip, where none was seen.
TEST(MetricComparisonTest, NoFlipsDoNotMakeEveryLossVisible) {
  const auto [before, after] = Pair("t", 20, 0, 0);
  ASSERT_OK_AND_ASSIGN(const auto rows, CompareTask(before, after, {}));
  EXPECT_NEAR(rows[0].minimum_detectable_effect(), 2.486475 / 20, 1e-5);
  const auto [more_before, more_after] = Pair("t", 2000, 0, 0);
  ASSERT_OK_AND_ASSIGN(const auto more,
                       CompareTask(more_before, more_after, {}));
  EXPECT_NEAR(more[0].minimum_detectable_effect(), 2.486475 / 2000, 1e-7);
}

TEST(MetricComparisonTest, RightAndWrongAnswersByMcNemarAndTango) {
  const auto [before, after] = Pair("t", 1000, 30, 10);
  ASSERT_OK_AND_ASSIGN(const auto rows, CompareTask(before, after, {}));
  ASSERT_EQ(rows.size(), 1u);
  const v1::MetricComparison& row = rows[0];
  EXPECT_NEAR(row.loss(), 0.02, 1e-9);
  // sqrt(k - (b - c)^2 / n) / n, times sqrt(n / (n - 1)) of the clusters' form.
  EXPECT_NEAR(row.loss_error(),
              std::sqrt(40 - 400.0 / 1000) / 1000 * std::sqrt(1000.0 / 999),
              1e-9);
  EXPECT_EQ(row.test(), "mcnemar");
  // Twice the tail of 10 of 40 fair throws.
  double tail = 0, mass = std::pow(0.5, 40);
  for (int k = 0; k <= 10; ++k) {
    tail += mass;
    mass *= (40.0 - k) / (k + 1);
  }
  EXPECT_NEAR(row.p_value(), 2 * tail, 1e-12);
  EXPECT_EQ(row.right_to_wrong(), 30u);
  EXPECT_EQ(row.wrong_to_right(), 10u);
  EXPECT_NEAR(row.flip_rate(), 0.04, 1e-12);
  EXPECT_NEAR(row.answer_change_rate(), 0.04, 1e-12);
  EXPECT_EQ(row.verdict(), v1::WORSE);
  EXPECT_LT(row.low(), 0.02);
  EXPECT_GT(row.low(), 0);
  EXPECT_GT(row.high(), 0.02);
  EXPECT_NEAR(row.bootstrap_low(), row.low(), 0.004);
  EXPECT_NEAR(row.bootstrap_high(), row.high(), 0.004);
  EXPECT_TRUE(row.in_family());
}

TEST(MetricComparisonTest, TheThreeVerdicts) {
  const auto verdict = [](int n, int b, int c) {
    const auto [before, after] = Pair("t", n, b, c);
    return (*CompareTask(before, after, {}))[0];
  };
  EXPECT_EQ(verdict(4000, 10, 12).verdict(), v1::EQUIVALENT);
  EXPECT_EQ(verdict(4000, 900, 300).verdict(), v1::WORSE);
  const v1::MetricComparison undecided = verdict(100, 3, 2);
  EXPECT_EQ(undecided.verdict(), v1::UNDECIDED);
  EXPECT_GT(undecided.items_needed(), 100u);
  EXPECT_GT(undecided.minimum_detectable_effect(), 0.01);
}

TEST(MetricComparisonTest, ManyTasksAreOneFamily) {
  v1::Evaluation before, after;
  before.set_name("evaluations/a");
  after.set_name("evaluations/b");
  const std::map<std::string, std::pair<int, int>> counts = {
      {"one", {30, 10}}, {"two", {15, 12}}, {"three", {9, 9}}};
  for (const auto& [task, count] : counts) {
    const auto pair = Pair(task, 1000, count.first, count.second);
    *before.add_tasks() = pair.first;
    *after.add_tasks() = pair.second;
  }
  ASSERT_OK_AND_ASSIGN(const v1::Comparison comparison,
                       CompareEvaluations(before, after));
  ASSERT_EQ(comparison.metrics_size(), 3);
  EXPECT_FALSE(comparison.has_tag()) << "there is no perplexity";
  for (const v1::MetricComparison& row : comparison.metrics()) {
    if (row.task() != "one") continue;
    EXPECT_NEAR(row.adjusted_p_value(), 3 * row.p_value(), 1e-12);
  }
  // Significant alone, but not among twenty tasks.
  v1::Evaluation many_before, many_after;
  for (int i = 0; i < 20; ++i) {
    const auto pair =
        Pair(absl::StrCat("t", i), 1000, i == 0 ? 28 : 9, i == 0 ? 14 : 9);
    *many_before.add_tasks() = pair.first;
    *many_after.add_tasks() = pair.second;
  }
  ASSERT_OK_AND_ASSIGN(const auto alone, CompareTask(many_before.tasks(0),
                                                     many_after.tasks(0), {}));
  EXPECT_EQ(alone[0].verdict(), v1::WORSE);
  ASSERT_OK_AND_ASSIGN(const v1::Comparison many,
                       CompareEvaluations(many_before, many_after));
  EXPECT_EQ(many.metrics(0).verdict(), v1::UNDECIDED);
  EXPECT_GT(many.metrics(0).items_needed(), 0u);

  // Of other data: not comparable, and the message says why.
  after.clear_tasks();
  *after.add_tasks() = Pair("one", 1000, 3, 3).second;
  after.mutable_tasks(0)->mutable_tag()->set_dataset_digest("other");
  EXPECT_THAT(CompareEvaluations(before, after),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("dataset_digest"), HasSubstr("other"))));
}

v1::Evaluation Perplexities(const std::vector<double>& windows) {
  v1::Evaluation evaluation;
  v1::PerplexityReport& report = *evaluation.add_perplexities();
  report.mutable_tag()->set_convention("ppl/gptq-8");
  report.set_tokens_per_window(7);
  double sum = 0;
  for (const double nll : windows) {
    report.add_window_nll(nll);
    sum += nll;
  }
  report.set_mean_nll(sum / static_cast<double>(windows.size()));
  report.set_perplexity(std::exp(report.mean_nll()));
  return evaluation;
}

TEST(MetricComparisonTest, PerplexityIsJudgedByPairedWindows) {
  std::vector<double> base, same, worse;
  for (int i = 0; i < 200; ++i) {
    base.push_back(4 + 0.5 * std::sin(i));
    same.push_back(base.back() + 0.001 + 0.01 * std::sin(7.0 * i));
    worse.push_back(base.back() + 0.2 + 0.05 * std::sin(3.0 * i));
  }
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison good,
      CompareEvaluations(Perplexities(base), Perplexities(same)));
  const v1::MetricComparison& row = good.metrics(0);
  EXPECT_EQ(row.task(), "ppl/gptq-8");
  EXPECT_EQ(row.test(), "paired t");
  EXPECT_EQ(row.verdict(), v1::EQUIVALENT);
  EXPECT_NEAR(row.loss(), 0.001, 2e-4);
  EXPECT_NEAR(row.loss(), good.log_ratio(), 1e-12);
  EXPECT_NEAR(row.bootstrap_low(), row.low(), 5e-4);
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison bad,
      CompareEvaluations(Perplexities(base), Perplexities(worse)));
  EXPECT_EQ(bad.metrics(0).verdict(), v1::WORSE);
  EXPECT_LT(bad.metrics(0).adjusted_p_value(), 1e-6);
  // Two windows tell nothing, and say how little.
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison few,
      CompareEvaluations(Perplexities({4, 5}), Perplexities({4.3, 4.9})));
  EXPECT_EQ(few.metrics(0).verdict(), v1::UNDECIDED);
  EXPECT_GT(few.metrics(0).items_needed(), 0u);
}

// F1 is no mean over items: the loss of its linear parts is the difference of
// the whole, and its error that of a paired bootstrap of the difference.
TEST(MetricComparisonTest, ScoresOfClassesAreComparedByTheirLinearParts) {
  constexpr uint32_t kItems = 400;
  std::vector<ClassifiedItem> first, second;
  for (uint32_t i = 0; i < kItems; ++i) {
    const uint32_t right = i % 3 == 0 ? 1 : 0;
    const uint32_t other = 1 - right;
    first.push_back({right, {i % 5 == 0 ? other : right}});
    second.push_back({right, {i % 5 == 0 || i % 7 == 0 ? other : right}});
  }
  for (const ClassScore score :
       {ClassScore::kF1OfSecond, ClassScore::kMatthews}) {
    const auto score_of = [&](const std::vector<ClassifiedItem>& items,
                              absl::Span<const uint32_t> drawn) {
      ClassCounts counts(2);
      for (const uint32_t i : drawn) counts.Add(items[i]);
      return counts.Score(score);
    };
    const auto report_of = [&](const std::vector<ClassifiedItem>& items) {
      ClassCounts counts(2);
      for (const ClassifiedItem& item : items) counts.Add(item);
      v1::TaskReport report;
      report.set_item_count(kItems);
      v1::TaskMetric* metric = report.add_metrics();
      metric->set_name(score == ClassScore::kMatthews ? "mcc" : "f1");
      metric->set_higher_is_better(true);
      metric->set_value(counts.Score(score));
      for (const ClassifiedItem& item : items) {
        metric->add_item_values(static_cast<float>(
            counts.Score(score) + kItems * counts.Slope(score, item)));
      }
      return report;
    };
    const v1::TaskReport before = report_of(first), after = report_of(second);
    ASSERT_OK_AND_ASSIGN(const auto rows, CompareTask(before, after, {}));
    const v1::MetricComparison& row = rows[0];
    EXPECT_NEAR(row.loss(), row.baseline() - row.candidate(), 1e-6);
    EXPECT_GT(row.loss(), 0.05);
    EXPECT_EQ(row.test(), "paired t");
    EXPECT_EQ(row.margin(), 0.01);
    EXPECT_EQ(row.verdict(), v1::WORSE);
    EXPECT_EQ(row.right_to_wrong(), 0u);
    ASSERT_OK_AND_ASSIGN(const BootstrapEstimate bootstrap,
                         Bootstrap(kItems,
                                   [&](absl::Span<const uint32_t> drawn) {
                                     return score_of(first, drawn) -
                                            score_of(second, drawn);
                                   },
                                   {}));
    EXPECT_NEAR(row.loss_error() / bootstrap.standard_error, 1, 0.1);
  }
}

TEST(MetricComparisonTest, ItemsThatAreNotTheSameAreRefused) {
  auto [before, after] = Pair("t", 100, 3, 3);
  after.set_item_count(99);
  EXPECT_THAT(CompareTask(before, after, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not the same")));
}

}  // namespace
}  // namespace quantd
