#include "evaluators/scorer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// Rows that one thread compares at a time; fixed, and only a matter of speed.
constexpr int64_t kComparedRows = 4;

// The scored positions of a batch, requests in order.
struct ScoredPositions {
  std::vector<int32_t> targets;
  std::vector<int64_t> rows;  // rows of the batch that predict them

  int64_t size() const { return static_cast<int64_t>(rows.size()); }
};

ScoredPositions PositionsOf(absl::Span<const ScoreRequest> requests,
                            const WindowBatch& batch) {
  ScoredPositions positions;
  for (size_t i = 0; i < batch.count; ++i) {
    const ScoreRequest& request = requests[batch.first + i];
    for (int t = 0; t < request.target_count; ++t) {
      const int position = request.first_target + t;
      positions.targets.push_back(
          request.tokens[static_cast<size_t>(position)]);
      positions.rows.push_back(static_cast<int64_t>(i) * batch.length +
                               position - 1);
    }
  }
  return positions;
}

// Logits of the positions [begin, begin + count).
absl::StatusOr<Tensor> LogitsAt(const Model& model, const Tensor& hidden,
                                const ScoredPositions& positions, int64_t begin,
                                int64_t count, ExecutionContext& ctx) {
  Tensor gathered = Tensor::Uninitialized({count, hidden.cols()});
  for (int64_t r = 0; r < count; ++r) {
    std::copy_n(hidden.row(positions.rows[static_cast<size_t>(begin + r)]),
                hidden.cols(), gathered.row(r));
  }
  return model.Logits(gathered, ctx);
}

// Gives every request of the batch its part of `values`.
template <typename Value, typename Sink>
absl::Status Distribute(absl::Span<const ScoreRequest> requests,
                        const WindowBatch& batch,
                        absl::Span<const Value> values, Sink sink) {
  size_t offset = 0;
  for (size_t i = 0; i < batch.count; ++i) {
    const size_t count =
        static_cast<size_t>(requests[batch.first + i].target_count);
    RETURN_IF_ERROR(sink(batch.first + i, values.subspan(offset, count)));
    offset += count;
  }
  return absl::OkStatus();
}

int64_t RowsAtOnce(const Model& model) {
  return std::max<int64_t>(
      1, kMaxScoredLogits / model.description().vocabulary_size);
}

}  // namespace

absl::StatusOr<Scorer> Scorer::Load(const Model& model,
                                    const ScorerOptions& options,
                                    ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(WindowPass pass,
                   WindowPass::Load(model, options.order, ctx));
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
                   WindowPass::Load(baseline, options.order, ctx));
  return scorer;
}

absl::Status Scorer::Run(absl::Span<const ScoreRequest> requests,
                         absl::Span<WindowPass* const> passes,
                         absl::FunctionRef<absl::Status(
                             const WindowBatch&, absl::Span<const Tensor>)>
                             emit,
                         absl::FunctionRef<void(double part)> on_progress,
                         ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(const std::vector<WindowBatch> batches,
                   PlanBatches(requests, options_.batch_windows));
  // The heads together count as one more block.
  int steps_per_batch = 1;
  uint64_t hidden_sizes = 0;
  for (const WindowPass* pass : passes) {
    steps_per_batch += pass->steps_per_batch();
    hidden_sizes +=
        static_cast<uint64_t>(pass->model().description().hidden_size);
  }
  const double steps = static_cast<double>(batches.size()) * steps_per_batch;
  double done = 0;
  spilled_bytes_ = 0;
  for (WindowPass* pass : passes) {
    // A row of activations lies in memory for all passes or for none, but for
    // rounding.
    ActivationOptions share = options_.activations;
    if (passes.size() > 1 && share.memory_bytes != UINT64_MAX) {
      share.memory_bytes =
          share.memory_bytes / hidden_sizes *
          static_cast<uint64_t>(pass->model().description().hidden_size);
    }
    RETURN_IF_ERROR(pass->Advance(
        requests, batches, share, [&] { on_progress(++done / steps); }, ctx));
    spilled_bytes_ += pass->spilled_bytes();
  }
  for (const WindowBatch& batch : batches) {
    std::vector<Tensor> hidden;
    for (const WindowPass* pass : passes) {
      ASSIGN_OR_RETURN(Tensor own, pass->Hidden(requests, batch, ctx));
      hidden.push_back(std::move(own));
    }
    RETURN_IF_ERROR(emit(batch, hidden));
    on_progress(++done / steps);
  }
  return absl::OkStatus();
}

absl::Status Scorer::Score(
    absl::Span<const ScoreRequest> requests,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const double>)> sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const Model& model = pass_.model();
  WindowPass* const passes[] = {&pass_};
  const auto emit = [&](const WindowBatch& batch,
                        absl::Span<const Tensor> hidden) -> absl::Status {
    const ScoredPositions positions = PositionsOf(requests, batch);
    std::vector<double> nll(positions.rows.size());
    const int64_t most = RowsAtOnce(model);
    for (int64_t begin = 0; begin < positions.size(); begin += most) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const int64_t rows = std::min(most, positions.size() - begin);
      ASSIGN_OR_RETURN(const Tensor logits,
                       LogitsAt(model, hidden[0], positions, begin, rows, ctx));
      ctx.device().NegativeLogLikelihood(logits.data(),
                                         positions.targets.data() + begin, rows,
                                         logits.cols(), nll.data() + begin);
    }
    return Distribute<double>(requests, batch, nll, sink);
  };
  return Run(requests, passes, emit, on_progress, ctx);
}

absl::Status Scorer::ScorePair(
    absl::Span<const ScoreRequest> requests,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const TargetDivergence>)>
        sink,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  const Model& candidate = pass_.model();
  const Model& baseline = baseline_->model();
  WindowPass* const passes[] = {&pass_, &*baseline_};
  const auto emit = [&](const WindowBatch& batch,
                        absl::Span<const Tensor> hidden) -> absl::Status {
    const ScoredPositions positions = PositionsOf(requests, batch);
    std::vector<TargetDivergence> results(positions.rows.size());
    const int64_t most = RowsAtOnce(candidate);
    for (int64_t begin = 0; begin < positions.size(); begin += most) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const int64_t rows = std::min(most, positions.size() - begin);
      ASSIGN_OR_RETURN(const Tensor q, LogitsAt(candidate, hidden[0], positions,
                                                begin, rows, ctx));
      ASSIGN_OR_RETURN(const Tensor p, LogitsAt(baseline, hidden[1], positions,
                                                begin, rows, ctx));
      const size_t vocabulary = static_cast<size_t>(q.cols());
      const int64_t pieces = (rows + kComparedRows - 1) / kComparedRows;
      ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
        DivergenceScratch scratch;
        const int64_t first = piece * kComparedRows;
        const int64_t end = std::min(rows, first + kComparedRows);
        for (int64_t r = first; r < end; ++r) {
          const size_t at = static_cast<size_t>(begin + r);
          results[at] =
              CompareLogits({p.row(r), vocabulary}, {q.row(r), vocabulary},
                            positions.targets[at], &scratch);
        }
      });
    }
    return Distribute<TargetDivergence>(requests, batch, results, sink);
  };
  return Run(requests, passes, emit, on_progress, ctx);
}

}  // namespace quantd
