// Verdicts: is each number of a candidate as good as its baseline's, paired
// item by item, up to a stated margin? v1::MetricComparison says what a row
// holds, statistics/verdict.h how it is decided.
//
// Losses are candidate against baseline, positive where the candidate is worse.
// Scores of items (0 to 1) are held against `margin`; BLEU and chrF, which are
// sentence scores of 0 to 100 here, against 100 times that; log perplexities,
// and the log-likelihoods of LAMBADA's words, against `perplexity_margin`. F1
// and the Matthews correlation are compared by their linear parts (delta
// method, statistics/class_scores.h): the loss is that of the whole sets.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_EVALUATORS_METRIC_COMPARISON_H_
#define QUANTD_EVALUATORS_METRIC_COMPARISON_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

struct ComparisonOptions {
  double margin = 0.01;
  double perplexity_margin = 0.01;
  // Of the test at each end of an interval.
  double alpha = 0.05;
  // Equivalence instead of non-inferiority.
  bool two_sided = false;
};

// The rise of log perplexity, from the mean negative log-likelihoods of
// clusters with their weights. REQUIRES: the reports have equal clusters.
absl::StatusOr<v1::MetricComparison> ComparePerplexity(
    const v1::PerplexityReport& baseline, const v1::PerplexityReport& candidate,
    const std::vector<double>& weights, const ComparisonOptions& options);

// All metrics of a task that both have, the first one in the family.
// FailedPrecondition when the reports are not of equal items.
absl::StatusOr<std::vector<v1::MetricComparison>> CompareTask(
    const v1::TaskReport& baseline, const v1::TaskReport& candidate,
    const ComparisonOptions& options);

// Writes the adjusted p values of the rows in the family. A loss that is
// significant alone but not among as many tests is UNDECIDED: of twenty tasks
// one would be WORSE by chance.
absl::Status AdjustFamily(
    const ComparisonOptions& options,
    google::protobuf::RepeatedPtrField<v1::MetricComparison>* rows);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_METRIC_COMPARISON_H_
