#include "evaluators/stored_scoring.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

template <typename Result, typename Find, typename Score>
absl::StatusOr<size_t> ByStore(
    absl::Span<const ScoreRequest> requests, ScoreStore& store, Find find,
    Score score,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const Result>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  std::vector<bool> known(requests.size(), false);
  size_t found = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::optional<std::vector<Result>> kept = find(requests[i]);
    if (!kept.has_value()) continue;
    known[i] = true;
    ++found;
    RETURN_IF_ERROR(sink(i, *kept));
  }
  if (found == requests.size()) {
    on_progress(1);
    return found;
  }
  bool keeps = true;
  const auto keep = [&](const absl::Status& status) {
    if (status.ok() || !keeps) return;
    keeps = false;
    ctx.ReportWarning(absl::StrCat("scores are not kept: ", status.message()));
  };
  RETURN_IF_ERROR(score(known, [&](size_t i, absl::Span<const Result> results) {
    if (keeps) keep(store.Put(requests[i], results));
    return sink(i, results);
  }));
  if (keeps) keep(store.Flush());
  return found;
}

}  // namespace

absl::StatusOr<size_t> ScoreByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  return ByStore<TokenScore>(
      requests, store,
      [&](const ScoreRequest& request) { return store.FindScores(request); },
      [&](const std::vector<bool>& known, auto keep) {
        return scorer.Score(requests, known, keep, on_progress, ctx);
      },
      sink, on_progress, ctx);
}

absl::StatusOr<size_t> ScorePairByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  return ByStore<TargetDivergence>(
      requests, store,
      [&](const ScoreRequest& request) {
        return store.FindDivergences(request);
      },
      [&](const std::vector<bool>& known, auto keep) {
        return scorer.ScorePair(requests, known, keep, on_progress, ctx);
      },
      sink, on_progress, ctx);
}

}  // namespace quantd
