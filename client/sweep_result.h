// What came of a sweep: a row for the model and one a point, their scores side
// by side, and the fronts of cost and loss.
//
// Confined to the command's thread; AdjustOverSweep() is a free function of its
// argument.
#ifndef QUANTD_CLIENT_SWEEP_RESULT_H_
#define QUANTD_CLIENT_SWEEP_RESULT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"
#include "client/pareto.h"
#include "client/sweep_cost.h"
#include "client/sweep_jobs.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

struct SweepRow {
  std::string label;
  // Absent for the model itself.
  std::optional<SweepPoint> point;
  // Why it is incomplete; empty when it is not.
  std::string failure;
  // Resource names; empty where there is none.
  std::string quantize_job, evaluate_job, artifact, evaluation;
  v1::Calibration calibration;
  double bits_per_weight = 0;
  uint64_t size_bytes = 0;
  // Of the compression; absent for the model.
  std::optional<double> quantize_seconds;
  std::optional<uint64_t> quantize_peak_memory_bytes;
  std::optional<v1::Evaluation> scores;
  // With the model, paired by windows and items; p values of the tasks' first
  // metrics adjusted over the sweep.
  std::optional<v1::Comparison> comparison;
};

// A loss that points are ranked by.
struct SweepLoss {
  // "divergence/gptq-512", "ppl/gptq-512", "arc_easy".
  std::string task;
  // "mean_kl", "ln_perplexity", "acc".
  std::string metric;

  bool is_divergence() const { return metric == kMeanKl; }
  bool is_perplexity() const { return metric == kLnPerplexity; }

  static constexpr char kMeanKl[] = "mean_kl";
  static constexpr char kLnPerplexity[] = "ln_perplexity";
};

// The metrics efficiency/... that any row has, each once, in order.
std::vector<std::string> EfficienciesOf(const std::vector<SweepRow>& rows);

// Nothing where the row has not got it.
std::optional<CostValue> CostOf(const SweepRow& row, const SweepCost& cost);

// Mean KL, or the loss against the model, with its standard error; nothing
// where the row has not got it.
std::optional<MeanWithError> LossOf(const SweepRow& row, const SweepLoss& loss);
// The row's comparison with the model by that metric; null when it has none.
const v1::MetricComparison* FindComparison(const v1::Comparison& comparison,
                                           absl::string_view task,
                                           absl::string_view metric);

struct SweepFront {
  SweepCost cost;
  SweepLoss loss;
  // One a row; nothing for the model and for rows without the cost or the loss.
  std::vector<std::optional<ParetoStanding>> standings;
};

// What fronts are wanted.
struct SweepRanking {
  // Each against every loss. Empty: bits against every loss, bytes against
  // every KL, and speeds (their ratios to the original's, where there are any)
  // and loaded memory, where they were measured, against every KL, or every
  // loss where there is no KL.
  std::vector<SweepCostKind> costs;
  // By how much, as a share, a measured cost may be worse and still count as
  // equal.
  double cost_margin = CostTerms().margin;
};

struct SweepResult {
  std::string name;
  std::string model;
  // That ran it.
  std::string command;
  // Margins and alpha, defaults filled in; without names.
  v1::CompareEvaluationsRequest terms;
  SweepRanking ranking;
  std::vector<SweepRow> rows;  // the model first
  std::vector<SweepFront> fronts;
  // Tests that were adjusted together.
  size_t family_size = 0;
};

// Fetches what the entries' jobs made, compares every point with the model, and
// ranks them. A point whose output is gone or not comparable has a failure.
//
// A standing of a perplexity or a task rests on the paired comparison of the
// two points (its interval of level 1 - 2 alpha lies above no loss), that of a
// KL on IsLower(); that by a measured cost on CostsAtMost() too. These tests
// are not adjusted for their number.
absl::StatusOr<SweepResult> CollectSweep(Client& client,
                                         const SweepDefinition& definition,
                                         const std::vector<SweepEntry>& entries,
                                         v1::CompareEvaluationsRequest terms,
                                         SweepRanking ranking);

// Makes one family of the first metrics of all tasks of all rows and writes
// their p values as adjusted by Holm. As in a comparison, a loss that is WORSE
// alone but whose adjusted p (of two sides) is above 2 alpha becomes UNDECIDED.
// Perplexities leave the family: of them a sweep shows intervals, not verdicts.
// Returns the family's size; InvalidArgument for what is no p value.
absl::StatusOr<size_t> AdjustOverSweep(double alpha,
                                       std::vector<SweepRow>* rows);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_RESULT_H_
