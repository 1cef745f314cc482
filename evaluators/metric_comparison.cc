#include "evaluators/metric_comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/multiplicity.h"
#include "base/status_macros.h"
#include "evaluators/cluster_ratio.h"
#include "evaluators/statistics/bootstrap.h"
#include "evaluators/statistics/mean.h"
#include "evaluators/statistics/paired_test.h"
#include "evaluators/statistics/power.h"
#include "evaluators/statistics/special_functions.h"
#include "evaluators/statistics/verdict.h"

namespace quantd {
namespace {

// Of the effect that a row says its items would have shown.
constexpr double kPower = 0.8;

v1::Verdict ToProto(Verdict verdict) {
  switch (verdict) {
    case Verdict::kEquivalent:
      return v1::EQUIVALENT;
    case Verdict::kWorse:
      return v1::WORSE;
    case Verdict::kBetter:
      return v1::BETTER;
    case Verdict::kUndecided:
      return v1::UNDECIDED;
  }
  return v1::VERDICT_UNSPECIFIED;
}

VerdictOptions OptionsOf(const ComparisonOptions& options, double margin) {
  VerdictOptions verdict;
  verdict.margin = margin;
  verdict.sides = options.two_sided ? Sides::kTwo : Sides::kOne;
  verdict.alpha = options.alpha;
  verdict.power = kPower;
  return verdict;
}

void SetVerdict(const VerdictReport& report, v1::MetricComparison* row) {
  row->set_loss(report.loss);
  row->set_low(report.interval.lower);
  row->set_high(report.interval.upper);
  row->set_verdict(ToProto(report.verdict));
  row->set_items_needed(report.further_items);
}

// `variance` of one item's difference.
absl::Status SetDetectable(double variance, uint64_t items,
                           const ComparisonOptions& options,
                           v1::MetricComparison* row) {
  PowerOptions power;
  power.alpha = options.alpha;
  power.power = kPower;
  power.sides = Sides::kOne;
  ASSIGN_OR_RETURN(const double effect,
                   MinimumDetectableEffect(variance, items, power));
  row->set_minimum_detectable_effect(effect);
  return absl::OkStatus();
}

absl::Status SetBootstrap(absl::Span<const double> losses,
                          absl::Span<const uint32_t> clusters,
                          const ComparisonOptions& options,
                          v1::MetricComparison* row) {
  BootstrapOptions bootstrap;
  bootstrap.confidence = 1 - 2 * options.alpha;
  ASSIGN_OR_RETURN(const BootstrapEstimate estimate,
                   BootstrapMean(losses, clusters, bootstrap));
  const Interval interval = estimate.bca.value_or(estimate.percentile);
  row->set_bootstrap_low(interval.lower);
  row->set_bootstrap_high(interval.upper);
  return absl::OkStatus();
}

bool IsRightOrWrong(absl::Span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(),
                     [](double score) { return score == 0 || score == 1; });
}

// How a metric of a task is compared.
struct Unit {
  double margin = 0;
  bool is_score = false;  // 0..1, as JudgeScores() takes it
  std::string name;       // what the row says
};

Unit UnitOf(const v1::TaskMetric& metric, absl::Span<const double> first,
            absl::Span<const double> second, const ComparisonOptions& options) {
  if (metric.name() == "perplexity") {
    return {options.perplexity_margin, false, "ln_perplexity"};
  }
  if (absl::StartsWith(metric.name(), "bleu") ||
      absl::StartsWith(metric.name(), "chrf")) {
    return {100 * options.margin, false, metric.name()};
  }
  // Linear parts, which leave 0..1.
  if (metric.name() == "f1" || metric.name() == "mcc") {
    return {options.margin, false, metric.name()};
  }
  const auto in_range = [](double score) { return score >= 0 && score <= 1; };
  const bool is_score = metric.higher_is_better() &&
                        std::all_of(first.begin(), first.end(), in_range) &&
                        std::all_of(second.begin(), second.end(), in_range);
  return {options.margin, is_score, metric.name()};
}

absl::StatusOr<v1::MetricComparison> CompareItems(
    const v1::TaskReport& baseline, const v1::TaskMetric& before,
    const v1::TaskMetric& after, absl::Span<const uint32_t> clusters,
    const ComparisonOptions& options) {
  const std::vector<double> first(before.item_values().begin(),
                                  before.item_values().end());
  const std::vector<double> second(after.item_values().begin(),
                                   after.item_values().end());
  std::vector<double> losses;
  for (size_t i = 0; i < first.size(); ++i) {
    losses.push_back(before.higher_is_better() ? first[i] - second[i]
                                               : second[i] - first[i]);
  }
  const Unit unit = UnitOf(before, first, second, options);
  v1::MetricComparison row;
  row.set_task(baseline.tag().task());
  row.set_metric(unit.name);
  row.set_item_count(first.size());
  row.set_baseline(before.value());
  row.set_candidate(after.value());
  row.set_margin(unit.margin);
  ASSIGN_OR_RETURN(const PairedTTest t, TestPairedT(losses, clusters));
  ASSIGN_OR_RETURN(const auto groups, GroupByCluster(first.size(), clusters));
  row.set_cluster_count(groups.size());
  row.set_loss_error(t.error);
  row.set_test("paired t");
  row.set_p_value(t.p);
  double variance = t.error * t.error * static_cast<double>(first.size());
  if (unit.is_score) {
    ASSIGN_OR_RETURN(
        const VerdictReport verdict,
        JudgeScores(first, second, clusters, OptionsOf(options, unit.margin)));
    SetVerdict(verdict, &row);
    ASSIGN_OR_RETURN(const PairedCounts counts, CountPairs(first, second));
    row.set_right_to_wrong(counts.only_first);
    row.set_wrong_to_right(counts.only_second);
    row.set_flip_rate(counts.flip_rate());
    if (clusters.empty() && IsRightOrWrong(first) && IsRightOrWrong(second)) {
      row.set_test("mcnemar");
      row.set_p_value(TestMcNemar(counts).exact_p);
      // That of no difference, which is what would be refuted.
      variance = counts.flip_rate();
    }
    // No difference among the items does not make any loss visible: one flip
    // is taken for the least that there may be.
    variance = std::max(variance, 1 / static_cast<double>(first.size()));
  } else {
    ASSIGN_OR_RETURN(
        const VerdictReport verdict,
        JudgeLosses(losses, clusters, OptionsOf(options, unit.margin)));
    SetVerdict(verdict, &row);
  }
  RETURN_IF_ERROR(SetDetectable(variance, first.size(), options, &row));
  RETURN_IF_ERROR(SetBootstrap(losses, clusters, options, &row));
  return row;
}

// Further items until an adjusted p value that must fall to `factor` of itself
// does, should the loss stay what it is: ln p falls about in proportion to the
// items.
uint64_t ItemsUntil(double factor, uint64_t items) {
  const double more = -std::log(factor);
  return std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(static_cast<double>(items) * more)));
}

}  // namespace

absl::StatusOr<v1::MetricComparison> ComparePerplexity(
    const v1::PerplexityReport& baseline, const v1::PerplexityReport& candidate,
    const std::vector<double>& weights, const ComparisonOptions& options) {
  v1::MetricComparison row;
  row.set_task(baseline.tag().convention());
  row.set_metric("ln_perplexity");
  row.set_baseline(baseline.mean_nll());
  row.set_candidate(candidate.mean_nll());
  row.set_margin(options.perplexity_margin);
  row.set_in_family(true);
  row.set_test("paired t");
  const size_t clusters = weights.size();
  row.set_item_count(clusters);
  row.set_cluster_count(clusters);
  std::vector<double> sums;
  double total = 0;
  for (size_t i = 0; i < clusters; ++i) {
    const int at = static_cast<int>(i);
    sums.push_back(weights[i] *
                   (candidate.window_nll(at) - baseline.window_nll(at)));
    total += weights[i];
  }
  const ClusterRatio ratio = RatioOfSums(sums, weights);
  row.set_loss(ratio.value);
  row.set_loss_error(ratio.error);
  if (clusters < 2) {
    row.set_low(-std::numeric_limits<double>::infinity());
    row.set_high(std::numeric_limits<double>::infinity());
    row.set_p_value(1);
    row.set_verdict(v1::UNDECIDED);
    row.set_items_needed(1);
    return row;
  }
  const double degrees = static_cast<double>(clusters - 1);
  const double reach =
      ratio.error * StudentTQuantile(1 - options.alpha, degrees);
  const Interval interval = {ratio.value - reach, ratio.value + reach};
  row.set_low(interval.lower);
  row.set_high(interval.upper);
  row.set_p_value(ratio.error > 0
                      ? StudentTTwoSidedP(ratio.value / ratio.error, degrees)
                      : (ratio.value == 0 ? 1 : 0));
  const Sides sides = options.two_sided ? Sides::kTwo : Sides::kOne;
  const Verdict verdict = Decide(interval, options.perplexity_margin, sides);
  row.set_verdict(ToProto(verdict));
  const double variance =
      ratio.error * ratio.error * static_cast<double>(clusters);
  RETURN_IF_ERROR(SetDetectable(variance, clusters, options, &row));
  if (verdict == Verdict::kUndecided) {
    PowerOptions power;
    power.alpha = options.alpha;
    power.power = kPower;
    power.sides = Sides::kOne;
    // Until the loss is surely below the margin, or surely there.
    const double effect =
        std::max(std::abs(options.perplexity_margin - ratio.value),
                 std::abs(ratio.value));
    const absl::StatusOr<uint64_t> needed =
        NeededItems(variance, effect, power);
    row.set_items_needed(needed.ok() && *needed > clusters ? *needed - clusters
                                                           : 1);
  }
  // Differences that a plain mean averages as the convention does.
  std::vector<double> losses;
  for (const double sum : sums) {
    losses.push_back(sum * static_cast<double>(clusters) / total);
  }
  RETURN_IF_ERROR(SetBootstrap(losses, {}, options, &row));
  return row;
}

absl::StatusOr<std::vector<v1::MetricComparison>> CompareTask(
    const v1::TaskReport& baseline, const v1::TaskReport& candidate,
    const ComparisonOptions& options) {
  const auto& clusters = baseline.item_cluster();
  if (baseline.item_count() != candidate.item_count() ||
      !std::equal(clusters.begin(), clusters.end(),
                  candidate.item_cluster().begin(),
                  candidate.item_cluster().end())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the items of task ", baseline.tag().task(),
                     " are not the same in both evaluations"));
  }
  const std::vector<uint32_t> own_clusters(clusters.begin(), clusters.end());
  double changes = 0;
  if (baseline.item_choice_size() > 0 &&
      baseline.item_choice_size() == candidate.item_choice_size()) {
    const std::vector<int32_t> first(baseline.item_choice().begin(),
                                     baseline.item_choice().end());
    const std::vector<int32_t> second(candidate.item_choice().begin(),
                                      candidate.item_choice().end());
    ASSIGN_OR_RETURN(changes, AnswerChangeRate(first, second));
  }
  std::vector<v1::MetricComparison> rows;
  for (const v1::TaskMetric& before : baseline.metrics()) {
    const auto after = std::find_if(
        candidate.metrics().begin(), candidate.metrics().end(),
        [&](const v1::TaskMetric& m) { return m.name() == before.name(); });
    if (after == candidate.metrics().end() ||
        after->item_values_size() != before.item_values_size() ||
        before.item_values().empty()) {
      continue;
    }
    ASSIGN_OR_RETURN(
        v1::MetricComparison row,
        Annotate(CompareItems(baseline, before, *after, own_clusters, options),
                 baseline.tag().task(), " ", before.name()));
    row.set_in_family(rows.empty());
    row.set_answer_change_rate(changes);
    rows.push_back(std::move(row));
  }
  return rows;
}

absl::Status AdjustFamily(
    const ComparisonOptions& options,
    google::protobuf::RepeatedPtrField<v1::MetricComparison>* rows) {
  std::vector<double> family;
  for (const v1::MetricComparison& row : *rows) {
    if (row.in_family()) family.push_back(row.p_value());
  }
  ASSIGN_OR_RETURN(const std::vector<double> adjusted, HolmAdjusted(family));
  size_t next = 0;
  for (v1::MetricComparison& row : *rows) {
    if (!row.in_family()) continue;
    row.set_adjusted_p_value(adjusted[next++]);
    // The p values have two sides, the verdict's test one.
    if (row.verdict() == v1::WORSE &&
        row.adjusted_p_value() > 2 * options.alpha) {
      row.set_verdict(v1::UNDECIDED);
      row.set_items_needed(ItemsUntil(
          2 * options.alpha / row.adjusted_p_value(), row.item_count()));
    }
  }
  return absl::OkStatus();
}

}  // namespace quantd
