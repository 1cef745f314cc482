#include "evaluators/stored_scoring.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// In strict mode every request of this many is scored again by itself.
constexpr size_t kCheckedInterval = 100;

// `score(requests, known, sink)` runs the scorer.
template <typename Result, typename Find, typename Score>
class ByStore {
 public:
  ByStore(absl::Span<const ScoreRequest> requests, Scorer& scorer,
          ScoreStore& store, Find find, Score score, ExecutionContext& ctx)
      : requests_(requests),
        scorer_(scorer),
        store_(store),
        find_(std::move(find)),
        score_(std::move(score)),
        ctx_(ctx),
        strict_(ctx.compute_type() == ComputeType::kF32Strict) {}

  template <typename Sink>
  absl::StatusOr<StoredScoring> Run(
      Sink sink, absl::FunctionRef<void(double part)> on_progress) {
    std::vector<bool> known(requests_.size(), false);
    for (size_t i = 0; i < requests_.size(); ++i) {
      const std::optional<std::vector<Result>> kept = find_(requests_[i]);
      if (!kept.has_value()) continue;
      known[i] = true;
      ++outcome_.kept;
      Sample(i, *kept);
      RETURN_IF_ERROR(sink(i, absl::MakeConstSpan(*kept)));
    }
    if (outcome_.kept == requests_.size()) {
      on_progress(1);
    } else {
      RETURN_IF_ERROR(score_(
          requests_, known,
          [&](size_t i, absl::Span<const Result> results) -> absl::Status {
            Keep([&] { return store_.Put(requests_[i], results); });
            Sample(i, results);
            return sink(i, results);
          },
          on_progress));
      Keep([&] { return store_.Flush(); });
      outcome_.tokens_run = scorer_.tokens_run();
      outcome_.tokens_unshared = scorer_.tokens_unshared();
      outcome_.spilled_bytes = scorer_.spilled_bytes();
    }
    RETURN_IF_ERROR(CheckSamples());
    return outcome_;
  }

 private:
  template <typename Write>
  void Keep(Write write) {
    if (!keeps_) return;
    const absl::Status status = write();
    if (status.ok()) return;
    keeps_ = false;
    ctx_.ReportWarning(absl::StrCat("scores are not kept: ", status.message()));
  }

  void Sample(size_t i, absl::Span<const Result> results) {
    if (!strict_ || i % kCheckedInterval != 0) return;
    sampled_.push_back(i);
    sampled_requests_.push_back(requests_[i]);
    samples_.emplace_back(results.begin(), results.end());
  }

  absl::Status CheckSamples() {
    if (sampled_.empty()) return absl::OkStatus();
    const PrefixOptions shared = scorer_.prefixes();
    PrefixOptions alone;
    alone.min_shared_tokens = 0;
    alone.batch_tokens = 1;
    scorer_.set_prefixes(alone);
    const absl::Status same = score_(
        absl::MakeConstSpan(sampled_requests_), std::vector<bool>(),
        [&](size_t s, absl::Span<const Result> results) -> absl::Status {
          ++outcome_.checked;
          for (size_t t = 0; t < results.size(); ++t) {
            const Result& before = samples_[s][t];
            // NaN is for the metric to find.
            if (before == results[t] || !(before == before)) continue;
            return absl::InternalError(absl::StrCat(
                "F32_STRICT: target ", t, " of request ", sampled_[s],
                " has another score when the request is scored by itself: a "
                "kernel depends on what runs beside it"));
          }
          return absl::OkStatus();
        },
        [](double) {});
    scorer_.set_prefixes(shared);
    return same;
  }

  const absl::Span<const ScoreRequest> requests_;
  Scorer& scorer_;
  ScoreStore& store_;
  const Find find_;
  const Score score_;
  ExecutionContext& ctx_;
  const bool strict_;
  StoredScoring outcome_;
  bool keeps_ = true;
  // Of each sample its index, its request and what was said of it.
  std::vector<size_t> sampled_;
  std::vector<ScoreRequest> sampled_requests_;
  std::vector<std::vector<Result>> samples_;
};

}  // namespace

absl::StatusOr<StoredScoring> ScoreByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const auto find = [&](const ScoreRequest& request) {
    return store.FindScores(request);
  };
  const auto score = [&](absl::Span<const ScoreRequest> some,
                         const std::vector<bool>& known, auto keep,
                         absl::FunctionRef<void(double part)> progress) {
    return scorer.Score(some, known, keep, progress, ctx);
  };
  return ByStore<TokenScore, decltype(find), decltype(score)>(
             requests, scorer, store, find, score, ctx)
      .Run(sink, on_progress);
}

absl::StatusOr<StoredScoring> ScorePairByStore(
    absl::Span<const ScoreRequest> requests, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const auto find = [&](const ScoreRequest& request) {
    return store.FindDivergences(request);
  };
  const auto score = [&](absl::Span<const ScoreRequest> some,
                         const std::vector<bool>& known, auto keep,
                         absl::FunctionRef<void(double part)> progress) {
    return scorer.ScorePair(some, known, keep, progress, ctx);
  };
  return ByStore<TargetDivergence, decltype(find), decltype(score)>(
             requests, scorer, store, find, score, ctx)
      .Run(sink, on_progress);
}

}  // namespace quantd
