// Paired comparison of two evaluations of the same text and tasks.
#ifndef QUANTD_EVALUATORS_COMPARISON_H_
#define QUANTD_EVALUATORS_COMPARISON_H_

#include "absl/status/statusor.h"
#include "evaluators/metric_comparison.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// ln(ppl candidate / ppl baseline) is the mean over clusters (windows or
// documents) of the difference of their means, weighted as the convention
// weighs them, so that it is exactly the difference of both mean NLLs; its
// standard error is that of a ratio over paired differences (cluster_ratio.h).
// Where a convention counts words and bytes, likewise per word and per byte, of
// every such convention.
//
// The first convention that both have under an equal tag is compared so; every
// such convention and every task under an equal tag has a row of `metrics` with
// a verdict (metric_comparison.h). FailedPrecondition when there is none:
// numbers of different tags are not comparable; the message says in what the
// two most alike differ.
absl::StatusOr<v1::Comparison> CompareEvaluations(
    const v1::Evaluation& baseline, const v1::Evaluation& candidate,
    const ComparisonOptions& options = {});

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_COMPARISON_H_
