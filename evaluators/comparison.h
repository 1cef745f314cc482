// Paired comparison of two evaluations of the same text.
#ifndef QUANTD_EVALUATORS_COMPARISON_H_
#define QUANTD_EVALUATORS_COMPARISON_H_

#include "absl/status/statusor.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// ln(ppl candidate / ppl baseline) is the mean over windows of the difference
// of window means; its standard error is that of a mean of paired differences
// (windows as clusters). The first convention that both have under an equal
// tag is compared. FailedPrecondition when there is none: numbers of different
// tags are not comparable; the message says what differs.
absl::StatusOr<v1::Comparison> CompareEvaluations(
    const v1::Evaluation& baseline, const v1::Evaluation& candidate);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_COMPARISON_H_
