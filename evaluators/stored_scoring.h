// Scoring by way of a store: what is kept is taken from there, the rest is
// scored and kept.
//
// In ComputeType::kF32Strict every run proves what the type promises: each
// hundredth request, the first one always, is scored again by itself, without
// company, sharing or store, and must get the same bits.
#ifndef QUANTD_EVALUATORS_STORED_SCORING_H_
#define QUANTD_EVALUATORS_STORED_SCORING_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/score_store.h"
#include "evaluators/scorer.h"
#include "kernels/execution_context.h"

namespace quantd {

struct StoredScoring {
  size_t kept = 0;  // requests that the store had
  // Of the others; 0 when there are none (Scorer).
  int64_t tokens_run = 0;
  int64_t tokens_unshared = 0;
  uint64_t spilled_bytes = 0;
  // Requests that were scored again by themselves.
  size_t checked = 0;
};

// Scorer::Score() of `requests`. `sink` is given what was kept first, in the
// order of the requests. A store that fails is reported once, as a warning.
// Internal when a strict score depends on its company: the request is named.
absl::StatusOr<StoredScoring> ScoreByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

// The same of Scorer::ScorePair().
absl::StatusOr<StoredScoring> ScorePairByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_STORED_SCORING_H_
