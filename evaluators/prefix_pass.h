// The rows of a prefix plan (prefix_plan.h) through the embedding and all
// blocks of one model: what enters its head. Scoring (scorer.h) runs one pass,
// or two side by side.
//
//   batch-major  all blocks are loaded once and stay in memory, batches run
//                through the whole network one after the other: fast, but the
//                model has to fit
//   layer-major  all batches run through block k before block k + 1 is loaded;
//                what passes between blocks lies in an ActivationStore: one
//                block in memory, whatever the model
//
// Hidden states do not depend on the order or the number of threads, bit for
// bit. On the batches and on what is shared they depend only by the rounding of
// float32 products, and in ComputeType::kF32Strict not at all.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_PREFIX_PASS_H_
#define QUANTD_EVALUATORS_PREFIX_PASS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/prefix_plan.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "tensor/tensor.h"

namespace quantd {

enum class ScoringOrder { kBatchMajor, kLayerMajor };

class PrefixPass {
 public:
  // Batch-major: loads every block. `model` must outlive the pass.
  // InvalidArgument when the model does not predict next tokens.
  static absl::StatusOr<PrefixPass> Load(const Model& model, ScoringOrder order,
                                         ExecutionContext& ctx);

  // Begins a plan of `requests`. Layer-major: runs all batches through all
  // blocks and calls `on_step` steps_per_batch() times for each; activations
  // lie where `activations` says. OutOfRange for an unknown token id;
  // ResourceExhausted when activations do not fit the disk.
  absl::Status Begin(absl::Span<const ScoreRequest> requests,
                     const PrefixPlan& plan,
                     const ActivationOptions& activations,
                     absl::FunctionRef<void()> on_step, ExecutionContext& ctx);

  // What left the last block: [batch.rows, hidden]. Batch-major runs it now.
  // REQUIRES: called for the batches of the plan that began, in order, once
  // each.
  absl::StatusOr<Tensor> Hidden(absl::Span<const ScoreRequest> requests,
                                const PrefixPlan& plan,
                                const PrefixBatch& batch,
                                ExecutionContext& ctx);

  int steps_per_batch() const {
    return order_ == ScoringOrder::kLayerMajor ? model_->block_count() : 0;
  }
  const Model& model() const { return *model_; }

  // Bytes of activations on disk.
  uint64_t spilled_bytes() const {
    return store_.has_value() ? store_->spilled_bytes() : 0;
  }

 private:
  PrefixPass(const Model* model, ScoringOrder order)
      : model_(model), order_(order) {}

  // What enters the first block.
  absl::StatusOr<Tensor> Embed(absl::Span<const ScoreRequest> requests,
                               const PrefixPlan& plan, const PrefixBatch& batch,
                               ExecutionContext& ctx) const;

  // A batch through one block. `trunks` holds the sequences of all trunks that
  // have not finished, outermost first; null until there is one.
  static absl::StatusOr<Tensor> RunBlock(Block& block, const PrefixPlan& plan,
                                         const PrefixBatch& batch,
                                         const std::vector<int64_t>& trunk_ends,
                                         const Tensor& x,
                                         std::unique_ptr<BlockState>* trunks,
                                         ExecutionContext& ctx);
  // trunk_ends_ as it is for the batch behind `batch`.
  void Pass(const PrefixPlan& plan, const PrefixBatch& batch);

  const Model* model_;
  ScoringOrder order_;
  std::vector<std::unique_ptr<Block>> blocks_;  // batch-major only
  std::optional<ActivationStore> store_;        // layer-major only
  // Batch-major: of every block.
  std::vector<std::unique_ptr<BlockState>> trunks_;
  // Tokens of every trunk that has not finished, from the sequence's start.
  std::vector<int64_t> trunk_ends_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PREFIX_PASS_H_
