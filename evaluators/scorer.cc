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

Tensor Gather(const Tensor& hidden, absl::Span<const int64_t> rows) {
  Tensor gathered =
      Tensor::Uninitialized({static_cast<int64_t>(rows.size()), hidden.cols()});
  for (size_t r = 0; r < rows.size(); ++r) {
    std::copy_n(hidden.row(rows[r]), hidden.cols(),
                gathered.row(static_cast<int64_t>(r)));
  }
  return gathered;
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

// What the model says of the rows' targets, of which `results` has those of the
// batch.
absl::Status ScoreRows(const Model& model, const Tensor& hidden,
                       const PrefixBatch& batch, const ScoredRows& scored,
                       absl::Span<TokenScore> results, ExecutionContext& ctx) {
  std::vector<LogitSummary> summaries(scored.rows.size());
  std::vector<float> target_logits(scored.targets.size());
  RETURN_IF_ERROR(model.ForLogitTiles(
      Gather(hidden, scored.rows),
      [&](int64_t begin, const Tensor& logits) -> absl::Status {
        RETURN_IF_ERROR(ctx.CheckCancelled());
        ForRows(scored.rows.size(), ctx, [&](size_t r) {
          const LogitSummary tile = SummarizeLogits(RowOf(logits, r));
          summaries[r] = begin == 0
                             ? tile
                             : JoinSummaries(summaries[r], tile,
                                             static_cast<int32_t>(begin));
        });
        for (size_t i = 0; i < scored.targets.size(); ++i) {
          const int64_t at = batch.targets[scored.first + i].token - begin;
          if (at < 0 || at >= logits.cols()) continue;
          target_logits[i] = RowOf(logits, scored.targets[i])[at];
        }
        return absl::OkStatus();
      },
      ctx));
  for (size_t i = 0; i < scored.targets.size(); ++i) {
    const LogitSummary& summary = summaries[scored.targets[i]];
    TokenScore& result = results[scored.first + i];
    result.nll = summary.log_sum_exp - target_logits[i];
    result.entropy = summary.entropy;
    result.top = summary.top;
  }
  return absl::OkStatus();
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
  const std::vector<bool> needed = NeededBatches(plan, known);
  const std::vector<PrefixPortion> portions = DividePlan(
      plan, needed,
      options_.order == ScoringOrder::kLayerMajor ? options_.portion_rows
                                                  : plan.rows);
  int block_steps = 0;  // of a batch that runs
  uint64_t hidden_sizes = 0;
  for (const PrefixPass* pass : passes) {
    block_steps += pass->steps_per_batch();
    hidden_sizes +=
        static_cast<uint64_t>(pass->model().description().hidden_size);
  }
  tokens_run_ = 0;
  // The heads together count as one more block.
  double steps =
      static_cast<double>(std::count(needed.begin(), needed.end(), true));
  for (const PrefixPortion& portion : portions) {
    tokens_run_ += portion.rows;
    steps += static_cast<double>(
                 std::count(portion.runs.begin(), portion.runs.end(), true)) *
             block_steps;
  }
  tokens_unshared_ = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!known.empty() && known[i]) continue;
    tokens_unshared_ +=
        requests[i].first_target + int64_t{requests[i].target_count} - 1;
  }
  spilled_bytes_ = 0;
  double done = 0;
  Collector<Result> collector(requests);
  for (const PrefixPortion& portion : portions) {
    uint64_t spilled = 0;
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
          requests, plan, portion, share, [&] { on_progress(++done / steps); },
          ctx));
      spilled += pass->spilled_bytes();
    }
    spilled_bytes_ = std::max(spilled_bytes_, spilled);
    for (size_t i = portion.first; i < portion.last; ++i) {
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
  }
  return absl::OkStatus();
}

absl::Status Scorer::Score(
    absl::Span<const ScoreRequest> requests, const std::vector<bool>& known,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const Model& model = pass_.model();
  PrefixPass* const passes[] = {&pass_};
  const int64_t rows_at_once =
      ScoredRowsAtOnce(LogitTileTokens(model.description()));
  const auto score = [&](const PrefixBatch& batch,
                         absl::Span<const Tensor> hidden,
                         absl::Span<TokenScore> results) -> absl::Status {
    for (size_t next = 0; next < results.size();) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const ScoredRows scored = NextRows(batch, next, rows_at_once);
      RETURN_IF_ERROR(ScoreRows(model, hidden[0], batch, scored, results, ctx));
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
  const int64_t rows_at_once =
      ScoredRowsAtOnce(candidate.description().vocabulary_size);
  const auto score = [&](const PrefixBatch& batch,
                         absl::Span<const Tensor> hidden,
                         absl::Span<TargetDivergence> results) -> absl::Status {
    for (size_t next = 0; next < results.size();) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const ScoredRows scored = NextRows(batch, next, rows_at_once);
      ASSIGN_OR_RETURN(const Tensor q,
                       candidate.Logits(Gather(hidden[0], scored.rows), ctx));
      ASSIGN_OR_RETURN(const Tensor p,
                       baseline.Logits(Gather(hidden[1], scored.rows), ctx));
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
