#include "client/sweep_result.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

v1::MetricComparison* Add(SweepRow* row, const std::string& task,
                          const std::string& metric, double p,
                          bool in_family = true) {
  if (!row->comparison.has_value()) row->comparison.emplace();
  v1::MetricComparison* added = row->comparison->add_metrics();
  added->set_task(task);
  added->set_metric(metric);
  added->set_p_value(p);
  added->set_adjusted_p_value(0.5);  // the server's, of a smaller family
  added->set_in_family(in_family);
  return added;
}

double Adjusted(const SweepRow& row, const std::string& task,
                const std::string& metric) {
  return FindComparison(*row.comparison, task, metric)->adjusted_p_value();
}

TEST(SweepResultTest, AllPointsAndTasksAreOneFamily) {
  std::vector<SweepRow> rows(4);  // the first is the model, the third failed
  Add(&rows[1], "ppl/gptq-512", "ln_perplexity", 1e-9);
  Add(&rows[1], "arc_easy", "acc", 0.01);
  Add(&rows[1], "arc_easy", "acc_norm", 1e-9, /*in_family=*/false);
  Add(&rows[1], "piqa", "acc", 0.04);
  Add(&rows[3], "arc_easy", "acc", 0.03);
  Add(&rows[3], "piqa", "acc", 0.005);
  const auto size = AdjustOverSweep(0.05, &rows);
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(*size, 4u);
  EXPECT_NEAR(Adjusted(rows[1], "arc_easy", "acc"), 0.03, 1e-15);
  EXPECT_NEAR(Adjusted(rows[1], "piqa", "acc"), 0.06, 1e-15);
  EXPECT_NEAR(Adjusted(rows[3], "arc_easy", "acc"), 0.06, 1e-15);
  EXPECT_NEAR(Adjusted(rows[3], "piqa", "acc"), 0.02, 1e-15);
  // What is outside has no adjusted value.
  EXPECT_EQ(Adjusted(rows[1], "arc_easy", "acc_norm"), 0);
  EXPECT_EQ(Adjusted(rows[1], "ppl/gptq-512", "ln_perplexity"), 0);
  EXPECT_FALSE(
      FindComparison(*rows[1].comparison, "ppl/gptq-512", "ln_perplexity")
          ->in_family());
}

TEST(SweepResultTest, ALossThatIsOneOfManyIsUndecided) {
  std::vector<SweepRow> rows(1);
  // 4 x 0.02 stays within 2 x 0.05, 3 x 0.04 does not.
  const double p_values[] = {0.02, 0.04, 0.9, 0.9};
  for (const double p : p_values) {
    v1::MetricComparison* row = Add(&rows[0], "task", "acc", p);
    row->set_verdict(v1::WORSE);
    row->set_item_count(1000);
  }
  ASSERT_TRUE(AdjustOverSweep(0.05, &rows).ok());
  const auto& metrics = rows[0].comparison->metrics();
  EXPECT_EQ(metrics[0].verdict(), v1::WORSE);
  EXPECT_EQ(metrics[0].items_needed(), 0u);
  EXPECT_EQ(metrics[1].verdict(), v1::UNDECIDED);
  // 1000 ln(0.12 / 0.1)
  EXPECT_EQ(metrics[1].items_needed(), 183u);
  EXPECT_EQ(metrics[2].verdict(), v1::UNDECIDED);
}

TEST(SweepResultTest, AFamilyWithoutTestsIsEmptyAndNanIsRefused) {
  std::vector<SweepRow> rows(2);
  EXPECT_EQ(*AdjustOverSweep(0.05, &rows), 0u);
  Add(&rows[1], "piqa", "acc", std::nan(""));
  EXPECT_TRUE(absl::IsInvalidArgument(AdjustOverSweep(0.05, &rows).status()));
}

TEST(SweepResultTest, LossesAreFoundByTaskAndMetric) {
  SweepRow row;
  const SweepLoss kl = {"divergence/gptq-512", SweepLoss::kMeanKl};
  EXPECT_FALSE(LossOf(row, kl).has_value());
  row.scores.emplace();
  EXPECT_FALSE(LossOf(row, kl).has_value());
  v1::DivergenceReport* report = row.scores->add_divergences();
  report->set_metric("divergence/gptq-512");
  report->mutable_kl()->mutable_mean()->set_mean(0.25);
  report->mutable_kl()->mutable_mean()->set_error_iid(9);
  report->mutable_kl()->mutable_mean()->set_error_clustered(0.5);
  EXPECT_EQ(LossOf(row, kl)->mean, 0.25);
  EXPECT_EQ(LossOf(row, kl)->error, 0.5);
  Add(&row, "piqa", "acc", 0.5)->set_loss(0.125);
  EXPECT_EQ(LossOf(row, {"piqa", "acc"})->mean, 0.125);
  EXPECT_FALSE(LossOf(row, {"piqa", "acc_norm"}).has_value());
}

TEST(SweepResultTest, CostsAreOfTheRowOrOfItsReport) {
  SweepRow row;
  row.bits_per_weight = 3.25;
  row.size_bytes = 1000;
  EXPECT_EQ(CostOf(row, {SweepCostKind::kBitsPerWeight, ""})->value, 3.25);
  EXPECT_EQ(CostOf(row, {SweepCostKind::kSizeBytes, ""})->value, 1000);
  const SweepCost speed = {SweepCostKind::kGenerationSpeed, "efficiency/a"};
  EXPECT_FALSE(CostOf(row, speed).has_value());
  row.scores.emplace();
  EXPECT_FALSE(CostOf(row, speed).has_value());
  for (const char* metric : {"efficiency/b", "efficiency/a"}) {
    v1::EfficiencyReport* report = row.scores->add_efficiencies();
    report->set_metric(metric);
    report->set_repetitions(4);
    report->mutable_target()->mutable_generation()->set_mean(metric[11]);
    report->mutable_target()->mutable_generation()->set_deviation(3);
  }
  EXPECT_EQ(CostOf(row, speed)->value, 'a');
  EXPECT_EQ(CostOf(row, speed)->error, 1.5);
  std::vector<SweepRow> rows = {SweepRow(), row, row};
  EXPECT_THAT(EfficienciesOf(rows),
              ::testing::ElementsAre("efficiency/b", "efficiency/a"));
}

}  // namespace
}  // namespace quantd::test
