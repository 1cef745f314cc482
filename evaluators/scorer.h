// The scoring core: requests in, what the network says of their targets out, or
// what two models say of them side by side. Every metric is a fold over what it
// produces.
//
// What requests have in common at their beginning runs once (prefix_plan.h).
// Layer-major, a plan runs in portions (DividePlan()): results come after each
// portion, and what lies between blocks has a bound that does not grow with the
// number of requests.
//
// Two models run over the same plan in one pass: layer-major, one model's
// batches go through all its blocks and then the other's, each with activations
// of its own, so that still only one block is in memory; batch-major, batch by
// batch. Their logits meet for a bounded number of rows at a time and are gone
// when those are compared.
//
// Logits are made only where a target is scored, a bounded number at a time:
// for one model tile by tile of the vocabulary, for two row by row, since what
// is compared needs both distributions whole. What results depend on:
// prefix_pass.h.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_SCORER_H_
#define QUANTD_EVALUATORS_SCORER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/logit_divergence.h"
#include "evaluators/prefix_pass.h"
#include "evaluators/prefix_plan.h"
#include "evaluators/token_score.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"

namespace quantd {

// Rows that go through all blocks together, layer-major. Reading and converting
// a weight costs what a few hundred products with it cost on a processor of
// this decade: a portion of this size spends some per cent on it. One of more
// tokens loses more when it is interrupted.
inline constexpr int64_t kPortionRows = 8192;

struct ScorerOptions {
  ScoringOrder order = ScoringOrder::kBatchMajor;
  PrefixOptions prefixes;
  int64_t portion_rows = kPortionRows;
  // Layer-major: what passes between blocks, of both models together.
  ActivationOptions activations;
};

// Counts up when scores of equal weights may differ from those of the last
// version: what was kept of it is then not used any more.
inline constexpr int kScoringNumerics = 2;

// Floats of the logits of one model that are held at once (64 MiB); at least
// one row, of a tile or whole.
inline constexpr int64_t kMaxScoredLogits = int64_t{1} << 24;

// Rows whose logits are held at once, `logits` of each.
inline int64_t ScoredRowsAtOnce(int64_t logits) {
  return std::max<int64_t>(1, kMaxScoredLogits / logits);
}

class Scorer {
 public:
  // Batch-major: loads every block. `model` must outlive the scorer.
  // InvalidArgument when the model does not predict next tokens.
  static absl::StatusOr<Scorer> Load(const Model& model,
                                     const ScorerOptions& options,
                                     ExecutionContext& ctx);

  // The same for a model and the baseline that it is compared with.
  // InvalidArgument when their vocabularies differ in size. That a token means
  // the same to both is for the caller to know.
  static absl::StatusOr<Scorer> LoadPair(const Model& model,
                                         const Model& baseline,
                                         const ScorerOptions& options,
                                         ExecutionContext& ctx);

  // `sink(index, scores)` receives what is said of request `index`'s targets,
  // once per request, in an order that the plan decides: requests that share
  // nothing come in their own. Those that are `known` are left out, and the
  // others get what they would have got with them; an empty `known` knows none.
  // `on_progress(part)` is called after every batch and block with the part of
  // the work that is done, 0..1. Stops at the first error of `sink`.
  // InvalidArgument when a request is out of range for its own tokens;
  // OutOfRange for an unknown token id; layer-major also ResourceExhausted when
  // activations do not fit the disk.
  absl::Status Score(
      absl::Span<const ScoreRequest> requests, const std::vector<bool>& known,
      absl::FunctionRef<absl::Status(size_t, absl::Span<const TokenScore>)>
          sink,
      absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

  // The same with the model as candidate beside its baseline.
  // REQUIRES: LoadPair().
  absl::Status ScorePair(
      absl::Span<const ScoreRequest> requests, const std::vector<bool>& known,
      absl::FunctionRef<absl::Status(size_t,
                                     absl::Span<const TargetDivergence>)>
          sink,
      absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

  const PrefixOptions& prefixes() const { return options_.prefixes; }
  void set_prefixes(const PrefixOptions& prefixes) {
    options_.prefixes = prefixes;
  }

  // Of the last call: tokens that ran through one model, trunks once for every
  // portion that continues them, and how many there would have been had
  // requests shared nothing.
  int64_t tokens_run() const { return tokens_run_; }
  int64_t tokens_unshared() const { return tokens_unshared_; }

  // Bytes of activations that the last layer-major call kept on disk at most.
  uint64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  // Runs `passes` over `requests`; `score` takes a batch, what left each pass's
  // last block, and room for the results of the batch's targets.
  template <typename Result, typename ScoreBatch, typename Sink>
  absl::Status Run(absl::Span<const ScoreRequest> requests,
                   const std::vector<bool>& known,
                   absl::Span<PrefixPass* const> passes, ScoreBatch score,
                   Sink sink, absl::FunctionRef<void(double part)> on_progress,
                   ExecutionContext& ctx);

  Scorer(PrefixPass pass, const ScorerOptions& options)
      : pass_(std::move(pass)), options_(options) {}

  PrefixPass pass_;
  std::optional<PrefixPass> baseline_;
  ScorerOptions options_;
  uint64_t spilled_bytes_ = 0;
  int64_t tokens_run_ = 0;
  int64_t tokens_unshared_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORER_H_
