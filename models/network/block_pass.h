// One run of a block's parts over a batch.
#ifndef QUANTD_MODELS_NETWORK_BLOCK_PASS_H_
#define QUANTD_MODELS_NETWORK_BLOCK_PASS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/linear.h"
#include "models/model.h"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd {

class BlockPass {
 public:
  // `tap` and `state` may be null.
  BlockPass(const SequenceBatch& batch, LinearTap* tap, BlockState* state,
            ExecutionContext& ctx)
      : batch(batch), state(state), ctx(ctx), tap_(tap) {}

  // Shows the tap the input of a set. False when the block is to stop here:
  // the parts then return at once, with any tensor.
  bool GoesOn(int set, const Tensor& input) {
    if (!stopped_ && tap_ != nullptr) stopped_ = !tap_->OnInput(set, input);
    return !stopped_;
  }
  bool stopped() const { return stopped_; }

  bool wants_attention() const {
    return tap_ != nullptr && tap_->wants_attention();
  }
  void ShowAttention(const Tensor& received) { tap_->OnAttention(received); }

  const SequenceBatch& batch;
  BlockState* const state;
  ExecutionContext& ctx;

 private:
  LinearTap* const tap_;
  bool stopped_ = false;
};

// The part of a block that mixes tokens: attention or a state space.
class Mixer {
 public:
  virtual ~Mixer() = default;

  // x [rows, hidden], normalised -> [rows, hidden].
  virtual absl::StatusOr<Tensor> Forward(const Tensor& x, BlockPass& pass) = 0;

  virtual std::unique_ptr<BlockState> NewState() const = 0;

  // Those of its norms, for Block::SmallParameters().
  virtual void AppendParameters(std::vector<NamedParameter>* /*parameters*/) {}
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_BLOCK_PASS_H_
