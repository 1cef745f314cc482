// The scoring core: token windows in, negative log-likelihoods of their
// targets out, or what two models say of them side by side. Every metric is a
// fold over what it produces.
//
// Two models run over the same windows in one pass: layer-major, one model's
// windows go through all its blocks and then the other's, each with activations
// of its own, so that still only one block is in memory; batch-major, batch by
// batch. Their logits meet for a bounded number of rows at a time and are gone
// when those are compared.
//
// Logits are made only where a target is scored, a bounded number of rows at a
// time. Results depend on order, threads and batch size as those of
// window_pass.h do.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_SCORER_H_
#define QUANTD_EVALUATORS_SCORER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "evaluators/logit_divergence.h"
#include "evaluators/window_pass.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"

namespace quantd {

struct ScorerOptions {
  ScoringOrder order = ScoringOrder::kBatchMajor;
  // Windows that run through a block together.
  int batch_windows = 8;
  // Layer-major: what passes between blocks, of both models together.
  ActivationOptions activations;
};

// Floats of the logits of one model that are held at once (64 MiB); at least
// one row.
inline constexpr int64_t kMaxScoredLogits = int64_t{1} << 24;

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

  // `sink(index, nll)` receives the natural-log NLLs of request `index`'s
  // targets, requests in order. `on_progress(part)` is called after every
  // batch and block with the part of the work that is done, 0..1. Stops at the
  // first error of `sink`. InvalidArgument when a request is out of range for
  // its own tokens; OutOfRange for an unknown token id; layer-major also
  // ResourceExhausted when activations do not fit the disk.
  absl::Status Score(
      absl::Span<const ScoreRequest> requests,
      absl::FunctionRef<absl::Status(size_t, absl::Span<const double>)> sink,
      absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx);

  // The same with the model as candidate beside its baseline.
  // REQUIRES: LoadPair().
  absl::Status ScorePair(absl::Span<const ScoreRequest> requests,
                         absl::FunctionRef<absl::Status(
                             size_t, absl::Span<const TargetDivergence>)>
                             sink,
                         absl::FunctionRef<void(double part)> on_progress,
                         ExecutionContext& ctx);

  // Bytes of activations that the last layer-major call kept on disk.
  uint64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  // Runs `passes` over `requests`; `emit` takes a batch and what left each
  // pass's last block.
  absl::Status Run(absl::Span<const ScoreRequest> requests,
                   absl::Span<WindowPass* const> passes,
                   absl::FunctionRef<absl::Status(const WindowBatch&,
                                                  absl::Span<const Tensor>)>
                       emit,
                   absl::FunctionRef<void(double part)> on_progress,
                   ExecutionContext& ctx);

  Scorer(WindowPass pass, const ScorerOptions& options)
      : pass_(std::move(pass)), options_(options) {}

  WindowPass pass_;
  std::optional<WindowPass> baseline_;
  ScorerOptions options_;
  uint64_t spilled_bytes_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORER_H_
