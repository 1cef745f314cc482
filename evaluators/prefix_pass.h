// The rows of a prefix plan (prefix_plan.h) through the embedding and all
// blocks of one model: what enters its head. Scoring (scorer.h) runs one pass,
// or two side by side.
//
//   batch-major  all blocks are loaded once and stay in memory, batches run
//                through the whole network one after the other: fast, but the
//                model has to fit
//   layer-major  all batches of a portion of the plan run through block k
//                before block k + 1 is loaded; what passes between blocks lies
//                in an ActivationStore: one block in memory, whatever the model
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

  // Begins a portion of a plan of `requests`. Layer-major: runs its batches
  // through all blocks and calls `on_step` steps_per_batch() times for each;
  // activations lie where `activations` says. The three outlive the pass
  // through them. OutOfRange for an unknown token id; ResourceExhausted when
  // activations do not fit the disk.
  absl::Status Begin(absl::Span<const ScoreRequest> requests,
                     const PrefixPlan& plan, const PrefixPortion& portion,
                     const ActivationOptions& activations,
                     absl::FunctionRef<void()> on_step, ExecutionContext& ctx);

  // What left the last block in batch number `index`: [its rows, hidden].
  // Batch-major runs it now. REQUIRES: called in order, at most once each, for
  // batches that the portion that began runs; batch-major for all of them.
  absl::StatusOr<Tensor> Hidden(size_t index, ExecutionContext& ctx);

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

  // The trunks that have not finished, outermost first.
  class TrunkStack {
   public:
    // What the batches behind `batch` find; `ran` says whether it did.
    // Returns how many of the trunks that ended had run.
    int Advance(const PrefixPlan& plan, const PrefixBatch& batch, bool ran);

    // Tokens of those that ran, from their sequence's start.
    const std::vector<int64_t>& ends() const { return ends_; }

   private:
    std::vector<bool> ran_;
    std::vector<int64_t> ends_;
  };

  // What enters the first block.
  absl::StatusOr<Tensor> Embed(const PrefixBatch& batch,
                               ExecutionContext& ctx) const;

  // A batch through one block. `trunks` holds the sequences of all trunks that
  // have run and not finished, outermost first; null when there are none. A
  // batch that is a trunk adds its own.
  absl::StatusOr<Tensor> RunBlock(Block& block, const PrefixBatch& batch,
                                  const std::vector<int64_t>& trunk_ends,
                                  const Tensor& x,
                                  std::unique_ptr<BlockState>* trunks,
                                  ExecutionContext& ctx) const;

  const Model* model_;
  ScoringOrder order_;
  std::vector<std::unique_ptr<Block>> blocks_;  // batch-major only
  std::optional<ActivationStore> store_;        // layer-major only
  // What began.
  absl::Span<const ScoreRequest> requests_;
  const PrefixPlan* plan_ = nullptr;
  const PrefixPortion* portion_ = nullptr;
  // Layer-major, by batch: its first row in the store.
  std::vector<int64_t> places_;
  // Batch-major: the next batch, the trunks before it, and what every block
  // keeps of them.
  size_t next_ = 0;
  TrunkStack stack_;
  std::vector<std::unique_ptr<BlockState>> trunks_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PREFIX_PASS_H_
