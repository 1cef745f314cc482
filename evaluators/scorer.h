// The scoring core: token windows in, negative log-likelihoods of their
// targets out. Every metric is a fold over what it produces.
//
// Batch-major: all blocks are loaded once and stay in memory, windows run
// through in batches. Logits are made only where a target is scored, a bounded
// number of rows at a time. Results do not depend on the batch size or the
// number of threads.
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
#include "models/model.h"

namespace quantd {

class Scorer {
 public:
  // Loads every block. `model` must outlive the scorer. InvalidArgument when
  // the model does not predict next tokens.
  static absl::StatusOr<Scorer> Load(const Model& model, ExecutionContext& ctx);

  // `sink(index, nll)` receives the natural-log NLLs of request `index`'s
  // targets, requests in order. `on_progress(done)` is called after every
  // batch. Stops at the first error of `sink`. InvalidArgument when a request
  // is out of range for its own tokens; OutOfRange for an unknown token id.
  absl::Status Score(
      absl::Span<const ScoreRequest> requests, int batch_windows,
      absl::FunctionRef<absl::Status(size_t, absl::Span<const double>)> sink,
      absl::FunctionRef<void(size_t done)> on_progress, ExecutionContext& ctx);

 private:
  explicit Scorer(const Model* model) : model_(model) {}

  // NLLs of consecutive requests of equal length, concatenated.
  absl::StatusOr<std::vector<double>> ScoreBatch(
      absl::Span<const ScoreRequest> batch, ExecutionContext& ctx);

  const Model* model_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_SCORER_H_
