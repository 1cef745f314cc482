// Token windows through the embedding and all blocks of one model: what enters
// its head. Scoring (scorer.h) runs one pass, or two side by side.
//
//   batch-major  all blocks are loaded once and stay in memory, windows run
//                through the whole network in batches: fast, but the model has
//                to fit
//   layer-major  all windows run through block k before block k + 1 is loaded;
//                what passes between blocks lies in an ActivationStore: one
//                block in memory, whatever the model
//
// Hidden states do not depend on the order or the number of threads, bit for
// bit; on the batch size they depend only by the rounding of float32 products.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_WINDOW_PASS_H_
#define QUANTD_EVALUATORS_WINDOW_PASS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/evaluator.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd {

enum class ScoringOrder { kBatchMajor, kLayerMajor };

// Consecutive requests of equal length that run together.
struct WindowBatch {
  size_t first = 0;  // request
  size_t count = 0;
  int64_t first_row = 0;  // of all rows of the plan
  int64_t length = 0;     // tokens of each

  int64_t rows() const { return static_cast<int64_t>(count) * length; }
  SequenceBatch sequences() const {
    return SequenceBatch::Uniform(static_cast<int64_t>(count), length);
  }
};

// Batches of at most `most_windows`. InvalidArgument when a request is out of
// range for its own tokens.
absl::StatusOr<std::vector<WindowBatch>> PlanBatches(
    absl::Span<const ScoreRequest> requests, int most_windows);

class WindowPass {
 public:
  // Batch-major: loads every block. `model` must outlive the pass.
  // InvalidArgument when the model does not predict next tokens.
  static absl::StatusOr<WindowPass> Load(const Model& model, ScoringOrder order,
                                         ExecutionContext& ctx);

  // Before Hidden(), once per plan. Layer-major: runs all batches through all
  // blocks and calls `on_step` steps_per_batch() times for each; activations
  // lie where `activations` says. OutOfRange for an unknown token id;
  // ResourceExhausted when activations do not fit the disk.
  absl::Status Advance(absl::Span<const ScoreRequest> requests,
                       absl::Span<const WindowBatch> batches,
                       const ActivationOptions& activations,
                       absl::FunctionRef<void()> on_step,
                       ExecutionContext& ctx);

  // What left the last block: [batch.rows(), hidden]. Batch-major runs it now.
  absl::StatusOr<Tensor> Hidden(absl::Span<const ScoreRequest> requests,
                                const WindowBatch& batch,
                                ExecutionContext& ctx) const;

  int steps_per_batch() const {
    return order_ == ScoringOrder::kLayerMajor ? model_->block_count() : 0;
  }
  const Model& model() const { return *model_; }

  // Bytes of activations on disk.
  uint64_t spilled_bytes() const {
    return store_.has_value() ? store_->spilled_bytes() : 0;
  }

 private:
  WindowPass(const Model* model, ScoringOrder order)
      : model_(model), order_(order) {}

  // What enters the first block.
  absl::StatusOr<Tensor> Embed(absl::Span<const ScoreRequest> requests,
                               const WindowBatch& batch,
                               ExecutionContext& ctx) const;

  const Model* model_;
  ScoringOrder order_;
  std::vector<std::unique_ptr<Block>> blocks_;  // batch-major only
  std::optional<ActivationStore> store_;        // layer-major only
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_WINDOW_PASS_H_
