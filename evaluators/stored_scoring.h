// Scoring by way of a store: what is kept is taken from there, the rest is
// scored and kept.
#ifndef QUANTD_EVALUATORS_STORED_SCORING_H_
#define QUANTD_EVALUATORS_STORED_SCORING_H_

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/score_store.h"
#include "evaluators/scorer.h"
#include "kernels/execution_context.h"

namespace quantd {

// Scorer::Score() of `requests`. `sink` is given what was kept first, in the
// order of the requests. Returns how many requests were kept. A store that
// fails is reported once, as a warning.
absl::StatusOr<size_t> ScoreByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

// The same of Scorer::ScorePair().
absl::StatusOr<size_t> ScorePairByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STORED_SCORING_H_
