#include "evaluators/scorer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/logit_summary.h"

namespace quantd {
namespace {

// Rows that one thread takes at a time; fixed, and only a matter of speed.
constexpr int64_t kRowsPerPiece = 4;

// Rows of a batch that predict targets [first, last).
struct ScoredRows {
  size_t first = 0;
  size_t last = 0;
  std::vector<int64_t> rows;    // of the batch, each once, in order
  std::vector<size_t> targets;  // for each target its place in `rows`
};

// The next at most `most` scored rows of a batch, from target `first` on.
ScoredRows NextRows(const PrefixBatch& batch, size_t first, int64_t most) {
  ScoredRows scored;
  scored.first = first;
  size_t at = first;
  for (; at < batch.targets.size(); ++at) {
    const int64_t row = batch.targets[at].row - batch.first_row;
    if (scored.rows.empty() || scored.rows.back() != row) {
      if (static_cast<int64_t>(scored.rows.size()) == most) break;
      scored.rows.push_back(row);
    }
    scored.targets.push_back(scored.rows.size() - 1);
  }
  scored.last = at;
  return scored;
}

absl::StatusOr<Tensor> LogitsAt(const Model& model, const Tensor& hidden,
                                absl::Span<const int64_t> rows,
                                ExecutionContext& ctx) {
  Tensor gathered =
      Tensor::Uninitialized({static_cast<int64_t>(rows.size()), hidden.cols()});
  for (size_t r = 0; r < rows.size(); ++r) {
    std::copy_n(hidden.row(rows[r]), hidden.cols(),
                gathered.row(static_cast<int64_t>(r)));
  }
  return model.Logits(gathered, ctx);
}

// Runs `row(r)` for 0 .. rows - 1 on the device's threads.
template <typename Row>
void ForRows(size_t rows, ExecutionContext& ctx, Row row) {
  const int64_t count = static_cast<int64_t>(rows);
  const int64_t pieces = (count + kRowsPerPiece - 1) / kRowsPerPiece;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min(count, (piece + 1) * kRowsPerPiece);
    for (int64_t r = piece * kRowsPerPiece; r < end; ++r) {
      row(static_cast<size_t>(r));
    }
  });
}

absl::Span<const float> RowOf(const Tensor& logits, size_t r) {
  return {logits.row(static_cast<int64_t>(r)),
          static_cast<size_t>(logits.cols())};
}

// Puts the results of requests together, whose targets may lie in several
// batches.
template <typename Result>
class Collector {
 public:
  explicit Collector(absl::Span<const ScoreRequest> requests)
      : requests_(requests), open_(requests.size()) {}

  void Add(const ScoredTarget& target, const Result& result) {
    Open& open = open_[target.request];
    if (open.results.empty()) {
      open.missing = requests_[target.request].target_count;
      open.results.resize(static_cast<size_t>(open.missing));
    }
    open.results[static_cast<size_t>(target.index)] = result;
    if (--open.missing == 0) complete_.push_back(target.request);
  }

  // Hands over and forgets the requests that have all their results.
  template <typename Sink>
  absl::Status Deliver(Sink sink) {
    std::sort(complete_.begin(), complete_.end());
    for (const size_t request : complete_) {
      RETURN_IF_ERROR(
          sink(request, absl::MakeConstSpan(open_[request].results)));
      open_[request].results = {};
    }
    complete_.clear();
    return absl::OkStatus();
  }

 private:
  struct Open {
    std::vector<Result> results;
    int missing = 0;
  };
  const absl::Span<const ScoreRequest> requests_;
  std::vector<Open> open_;
  std::vector<size_t> complete_;
};

int64_t RowsAtOnce(const Model& model) {
  return std::max<int64_t>(
      1, kMaxScoredLogits / model.description().vocabulary_size);
}

}  // namespace

absl::StatusOr<Scorer> Scorer::Load(const Model& model,
                                    const ScorerOptions& options,
                                    ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(PrefixPass pass,
                   PrefixPass::Load(model, options.order, ctx));
  return Scorer(std::move(pass), options);
}

absl::StatusOr<Scorer> Scorer::LoadPair(const Model& model,
                                        const Model& baseline,
                                        const ScorerOptions& options,
                                        ExecutionContext& ctx) {
  if (model.description().vocabulary_size !=
      baseline.description().vocabulary_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), " has a vocabulary of ",
        model.description().vocabulary_size, " tokens, its baseline ",
        baseline.checkpoint().directory(), " one of ",
        baseline.description().vocabulary_size));
  }
  ASSIGN_OR_RETURN(Scorer scorer, Load(model, options, ctx));
  ASSIGN_OR_RETURN(scorer.baseline_,
                   PrefixPass::Load(baseline, options.order, ctx));
  return scorer;
}

template <typename Result, typename ScoreBatch, typename Sink>
absl::Status Scorer::Run(absl::Span<const ScoreRequest> requests,
                         const std::vector<bool>& known,
                         absl::Span<PrefixPass* const> passes, ScoreBatch score,
                         Sink sink,
                         absl::FunctionRef<void(double part)> on_progress,
                         ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(const PrefixPlan plan,
                   PlanPrefixes(requests, options_.prefixes));
  tokens_run_ = 0;
  tokens_unshared_ = 0;
  // The heads together count as one more block.
  int steps_per_batch = 1;
  uint64_t hidden_sizes = 0;
  for (const PrefixPass* pass : passes) {
    steps_per_batch += pass->steps_per_batch();
    hidden_sizes +=
        static_cast<uint64_t>(pass->model().description().hidden_size);
  }
  const std::vector<bool> needed = NeededBatches(plan, known);
  const double steps =
      static_cast<double>(std::count(needed.begin(), needed.end(), true)) *
      steps_per_batch;
  double done = 0;
  spilled_bytes_ = 0;
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    if (needed[i]) tokens_run_ += plan.batches[i].rows;
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!known.empty() && known[i]) continue;
    tokens_unshared_ +=
        requests[i].first_target + int64_t{requests[i].target_count} - 1;
  }
  for (PrefixPass* pass : passes) {
    // A row of activations lies in memory for all passes or for none, but for
    // rounding.
    ActivationOptions share = options_.activations;
    if (passes.size() > 1 && share.memory_bytes != UINT64_MAX) {
      share.memory_bytes =
          share.memory_bytes / hidden_sizes *
          static_cast<uint64_t>(pass->model().description().hidden_size);
    }
    RETURN_IF_ERROR(pass->Begin(
        requests, plan, needed, share, [&] { on_progress(++done / steps); },
        ctx));
    spilled_bytes_ += pass->spilled_bytes();
  }
  Collector<Result> collector(requests);
  for (size_t i = 0; i < plan.batches.size(); ++i) {
    if (!needed[i]) continue;
    const PrefixBatch& batch = plan.batches[i];
    RETURN_IF_ERROR(ctx.CheckCancelled());
    std::vector<Tensor> hidden;
    for (PrefixPass* pass : passes) {
      ASSIGN_OR_RETURN(Tensor own, pass->Hidden(i, ctx));
      hidden.push_back(std::move(own));
    }
    std::vector<Result> results(batch.targets.size());
    RETURN_IF_ERROR(score(batch, hidden, absl::MakeSpan(results)));
    for (size_t t = 0; t < results.size(); ++t) {
      if (!known.empty() && known[batch.targets[t].request]) continue;
      collector.Add(batch.targets[t], results[t]);
    }
    RETURN_IF_ERROR(collector.Deliver(sink));
    on_progress(++done / steps);
  }
  return absl::OkStatus();
}

absl::Status Scorer::Score(
    absl::Span<const ScoreRequest> requests, const std::vector<bool>& known,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const Model& model = pass_.model();
  PrefixPass* const passes[] = {&pass_};
  const auto score = [&](const PrefixBatch& batch,
                         absl::Span<const Tensor> hidden,
                         absl::Span<TokenScore> results) -> absl::Status {
    for (size_t next = 0; next < results.size();) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const ScoredRows scored = NextRows(batch, next, RowsAtOnce(model));
      ASSIGN_OR_RETURN(const Tensor logits,
                       LogitsAt(model, hidden[0], scored.rows, ctx));
      std::vector<LogitSummary> summaries(scored.rows.size());
      ForRows(scored.rows.size(), ctx, [&](size_t r) {
        summaries[r] = SummarizeLogits(RowOf(logits, r));
      });
      for (size_t t = scored.first; t < scored.last; ++t) {
        const size_t r = scored.targets[t - scored.first];
        const LogitSummary& summary = summaries[r];
        const size_t token = static_cast<size_t>(batch.targets[t].token);
        results[t].nll = summary.log_sum_exp - RowOf(logits, r)[token];
        results[t].entropy = summary.entropy;
        results[t].top = summary.top;
      }
      next = scored.last;
    }
    return absl::OkStatus();
  };
  return Run<TokenScore>(requests, known, passes, score, sink, on_progress,
                         ctx);
}

absl::Status Scorer::ScorePair(
    absl::Span<const ScoreRequest> requests, const std::vector<bool>& known,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const Model& candidate = pass_.model();
  const Model& baseline = baseline_->model();
  PrefixPass* const passes[] = {&pass_, &*baseline_};
  const auto score = [&](const PrefixBatch& batch,
                         absl::Span<const Tensor> hidden,
                         absl::Span<TargetDivergence> results) -> absl::Status {
    for (size_t next = 0; next < results.size();) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const ScoredRows scored = NextRows(batch, next, RowsAtOnce(candidate));
      ASSIGN_OR_RETURN(const Tensor q,
                       LogitsAt(candidate, hidden[0], scored.rows, ctx));
      ASSIGN_OR_RETURN(const Tensor p,
                       LogitsAt(baseline, hidden[1], scored.rows, ctx));
      ForRows(scored.last - scored.first, ctx, [&](size_t i) {
        thread_local DivergenceScratch scratch;
        const size_t t = scored.first + i;
        const size_t r = scored.targets[i];
        results[t] = CompareLogits(RowOf(p, r), RowOf(q, r),
                                   batch.targets[t].token, &scratch);
      });
      next = scored.last;
    }
    return absl::OkStatus();
  };
  return Run<TargetDivergence>(requests, known, passes, score, sink,
                               on_progress, ctx);
}

}  // namespace quantd
