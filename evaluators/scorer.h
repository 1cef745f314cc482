// The scoring core: token windows in, negative log-likelihoods of their
// targets out. Every metric is a fold over what it produces.
//
//   batch-major  all blocks are loaded once and stay in memory, windows run
//                through the whole network in batches: fast, but the model has
//                to fit
//   layer-major  all windows run through block k before block k + 1 is loaded;
//                what passes between blocks lies in an ActivationStore: one
//                block in memory, whatever the model
//
// Logits are made only where a target is scored, a bounded number of rows at a
// time. Results do not depend on the order or the number of threads, bit for
// bit; on the batch size they depend only by the rounding of float32 products.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_SCORER_H_
#define QUANTD_EVALUATORS_SCORER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"

namespace quantd {

enum class ScoringOrder { kBatchMajor, kLayerMajor };

struct ScorerOptions {
  ScoringOrder order = ScoringOrder::kBatchMajor;
  // Windows that run through a block together.
  int batch_windows = 8;
  // Layer-major: what passes between blocks.
  ActivationOptions activations;
};

// Floats of the logits that are held at once (64 MiB); at least one row.
inline constexpr int64_t kMaxScoredLogits = int64_t{1} << 24;

class Scorer {
 public:
  // Batch-major: loads every block. `model` must outlive the scorer.
  // InvalidArgument when the model does not predict next tokens.
  static absl::StatusOr<Scorer> Load(const Model& model,
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

  // Bytes of activations that the last layer-major Score() kept on disk.
  uint64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  // Consecutive requests of equal length that run together.
  struct Batch {
    size_t first = 0;  // request
    size_t count = 0;
    int64_t first_row = 0;  // of all rows of the call
    int64_t length = 0;     // tokens of each

    int64_t rows() const { return static_cast<int64_t>(count) * length; }
    SequenceBatch sequences() const {
      return SequenceBatch::Uniform(static_cast<int64_t>(count), length);
    }
  };
  using Requests = absl::Span<const ScoreRequest>;
  using Sink =
      absl::FunctionRef<absl::Status(size_t, absl::Span<const double>)>;
  using OnProgress = absl::FunctionRef<void(double part)>;

  Scorer(const Model* model, const ScorerOptions& options)
      : model_(model), options_(options) {}

  absl::StatusOr<std::vector<Batch>> Plan(Requests requests) const;
  absl::Status ScoreBatchMajor(Requests requests,
                               absl::Span<const Batch> batches, Sink sink,
                               OnProgress on_progress, ExecutionContext& ctx);
  absl::Status ScoreLayerMajor(Requests requests,
                               absl::Span<const Batch> batches, Sink sink,
                               OnProgress on_progress, ExecutionContext& ctx);
  // What enters the first block.
  absl::StatusOr<Tensor> Embed(Requests requests, const Batch& batch,
                               ExecutionContext& ctx) const;
  // `hidden` is what left the last block.
  absl::Status Emit(Requests requests, const Batch& batch, const Tensor& hidden,
                    Sink sink, ExecutionContext& ctx) const;

  const Model* model_;
  ScorerOptions options_;
  std::vector<std::unique_ptr<Block>> blocks_;  // batch-major only
  uint64_t spilled_bytes_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORER_H_
