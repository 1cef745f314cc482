// The selective state space mixer (Gu and Dao 2023, arXiv:2312.00752, figure
// 3): projection, short causal convolution, selective scan, gate, projection.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_NETWORK_STATE_SPACE_H_
#define QUANTD_MODELS_NETWORK_STATE_SPACE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "models/network/block_pass.h"
#include "models/network/block_plan.h"

namespace quantd {

// What a sequence carries from pass to pass: the last inputs of the
// convolution and the states of the scan.
class StateSpaceState final : public BlockState {
 public:
  void Select(absl::Span<const int> sources) override;
  size_t bytes() const override;

  // Zero states up to `count` sequences.
  void Grow(size_t count, int64_t channels, int64_t conv_width, int64_t states);

  std::vector<Tensor>& histories() { return histories_; }
  std::vector<Tensor>& states() { return states_; }

 private:
  std::vector<Tensor> histories_;  // [conv_width - 1, channels]
  std::vector<Tensor> states_;     // [channels, states]
};

class StateSpace final : public Mixer {
 public:
  // `linears` are those of `plan`, and outlive the object, as `description`
  // does.
  static absl::StatusOr<std::unique_ptr<StateSpace>> Load(
      const Checkpoint& checkpoint, const StateSpaceDescription& description,
      const BlockPlan& plan, absl::Span<const Linear> linears);

  absl::StatusOr<Tensor> Forward(const Tensor& x, BlockPass& pass) override;
  std::unique_ptr<BlockState> NewState() const override;

 private:
  StateSpace(const StateSpaceDescription& description,
             absl::Span<const Linear> linears)
      : description_(description), linears_(linears) {}

  const StateSpaceDescription& description_;
  const absl::Span<const Linear> linears_;  // in, selection, step, out
  Tensor conv_weight_;                      // [channels, conv_width]
  Tensor conv_bias_;                        // empty when there is none
  Tensor a_;                                // [channels, states], -exp(a_log)
  Tensor skip_;                             // [channels]
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_STATE_SPACE_H_
