#include "client/sweep_cost.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::HasSubstr;

v1::EfficiencyReport Report() {
  v1::EfficiencyReport report;
  report.set_metric("efficiency/pp16-tg4");
  report.set_repetitions(4);
  report.set_peak_resident_bytes(7000);
  v1::ModelEfficiency& model = *report.mutable_target();
  model.mutable_prompt()->set_mean(1000);
  model.mutable_prompt()->set_deviation(20);
  model.mutable_generation()->set_mean(50);
  model.mutable_generation()->set_deviation(1);
  model.set_loaded_bytes(5000);
  return report;
}

TEST(SweepCostTest, TheTableIsInOrderAndNamesAreKnown) {
  std::set<std::string> names, headings;
  for (const SweepCostRow& row : SweepCosts()) {
    EXPECT_EQ(&CostRowOf(row.kind), &row);
    names.insert(row.name);
    headings.insert(row.heading);
    const auto kind = ParseSweepCost(row.name);
    ASSERT_TRUE(kind.ok());
    EXPECT_EQ(*kind, row.kind);
    EXPECT_GT(row.unit, 0);
  }
  EXPECT_EQ(names.size(), SweepCosts().size());
  EXPECT_EQ(headings.size(), SweepCosts().size());
  const auto unknown = ParseSweepCost("speed");
  EXPECT_TRUE(absl::IsInvalidArgument(unknown.status()));
  EXPECT_THAT(unknown.status().message(),
              HasSubstr("generated_tokens_per_second"));
}

TEST(SweepCostTest, SpeedsHaveTheErrorOfTheirMeanAndMemoryHasNone) {
  const v1::EfficiencyReport report = Report();
  const auto measured = [&](SweepCostKind kind) {
    return CostRowOf(kind).measured(report).value_or(CostValue());
  };
  EXPECT_EQ(measured(SweepCostKind::kPromptSpeed).value, 1000);
  EXPECT_EQ(measured(SweepCostKind::kPromptSpeed).error, 10);
  EXPECT_EQ(measured(SweepCostKind::kGenerationSpeed).value, 50);
  EXPECT_EQ(measured(SweepCostKind::kGenerationSpeed).error, 0.5);
  EXPECT_EQ(measured(SweepCostKind::kGenerationSpeed).repetitions, 4u);
  EXPECT_EQ(measured(SweepCostKind::kLoadedBytes).value, 5000);
  EXPECT_EQ(measured(SweepCostKind::kLoadedBytes).repetitions, 0u);
  EXPECT_EQ(measured(SweepCostKind::kPeakBytes).value, 7000);
  EXPECT_EQ(CostRowOf(SweepCostKind::kSizeBytes).measured, nullptr);
}

TEST(SweepCostTest, RatiosAreThereWhereTheOriginalWasMeasuredToo) {
  v1::EfficiencyReport report = Report();
  for (const SweepCostKind kind :
       {SweepCostKind::kPromptRatio, SweepCostKind::kGenerationRatio}) {
    EXPECT_FALSE(CostRowOf(kind).measured(report).has_value());
    EXPECT_TRUE(CostRowOf(kind).more_is_better);
  }
  report.mutable_generation_ratio()->set_ratio(1.25);
  report.mutable_generation_ratio()->set_error(0.125);
  const auto ratio =
      CostRowOf(SweepCostKind::kGenerationRatio).measured(report);
  ASSERT_TRUE(ratio.has_value());
  EXPECT_EQ(ratio->value, 1.25);
  EXPECT_EQ(ratio->error, 0.125);
  EXPECT_EQ(ratio->repetitions, 4u);
}

TEST(SweepCostTest, ReportsAreFoundByTheirMetric) {
  v1::Evaluation evaluation;
  EXPECT_EQ(FindEfficiency(evaluation, "efficiency/pp16-tg4"), nullptr);
  *evaluation.add_efficiencies() = Report();
  EXPECT_EQ(FindEfficiency(evaluation, "efficiency/pp16-tg4"),
            &evaluation.efficiencies(0));
  EXPECT_EQ(FindEfficiency(evaluation, "efficiency/pp16-tg8"), nullptr);
  EXPECT_EQ(MetricText({SweepCostKind::kPromptSpeed, "efficiency/pp16-tg4"}),
            "pp16-tg4");
}

TEST(SweepCostTest, WhatIsNotMeasuredIsComparedAsItIs) {
  const CostTerms terms = {0.05, 0.05};
  const auto at_most = [&](double a, double b) {
    return CostsAtMost(SweepCostKind::kBitsPerWeight, {a}, {b}, terms);
  };
  EXPECT_TRUE(at_most(3, 3));
  EXPECT_TRUE(at_most(2.99, 3));
  EXPECT_FALSE(at_most(3.01, 3)) << "no margin";
}

TEST(SweepCostTest, MemoryHasTheMarginAlone) {
  const auto at_most = [&](double a, double b, double margin) {
    return CostsAtMost(SweepCostKind::kLoadedBytes, {a}, {b}, {margin, 0.05});
  };
  EXPECT_TRUE(at_most(1050, 1000, 0.05));
  EXPECT_FALSE(at_most(1051, 1000, 0.05));
  EXPECT_FALSE(at_most(1001, 1000, 0));
  EXPECT_TRUE(at_most(1000, 1000, 0));
}

TEST(SweepCostTest, OfSpeedsItHasToBeSure) {
  const CostTerms terms = {0.05, 0.05};
  const auto at_most = [&](const CostValue& a, const CostValue& b) {
    return CostsAtMost(SweepCostKind::kGenerationSpeed, a, b, terms);
  };
  // Equal speeds; 0.05 x 100 is more than t(8) = 1.86 times the error of the
  // difference, sqrt(1 + 0.95^2) e, up to e = 1.95. Equal errors of five
  // repetitions, one of them times 0.95, have 7 degrees rounded down,
  // and 1.895.
  EXPECT_TRUE(at_most({100, 1.9, 5}, {100, 1.9, 5}));
  EXPECT_FALSE(at_most({100, 1.95, 5}, {100, 1.95, 5}));
  // Faster by as much is sure in any case, slower by as much never.
  EXPECT_TRUE(at_most({110, 1.95, 5}, {100, 1.95, 5}));
  EXPECT_FALSE(at_most({90, 0.1, 5}, {100, 0.1, 5}));
  EXPECT_FALSE(at_most({95, 0, 5}, {101, 0, 5}));
  EXPECT_TRUE(at_most({95, 0, 5}, {100, 0, 5}));
  // Of one repetition the error is not known.
  EXPECT_FALSE(at_most({200, 0, 1}, {100, 1, 5}));
  EXPECT_FALSE(at_most({200, 1, 5}, {100, 0, 1}));
  // Fewer repetitions are less sure.
  EXPECT_TRUE(at_most({100, 1.5, 5}, {100, 1.5, 5}));
  EXPECT_FALSE(at_most({100, 1.5, 2}, {100, 1.5, 2}));
}

}  // namespace
}  // namespace quantd::test
