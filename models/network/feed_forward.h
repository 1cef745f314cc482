// The position-wise part of a block: plain, gated, or a mixture of gated
// experts, as FeedForwardDescription says.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_NETWORK_FEED_FORWARD_H_
#define QUANTD_MODELS_NETWORK_FEED_FORWARD_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "models/network/block_pass.h"
#include "models/network/block_plan.h"

namespace quantd {

class FeedForward {
 public:
  // `linears` are the part's own, in plan order, and outlive the object, as
  // `description` does. `first_set` is the set of the first of them;
  // `input_shown` says that the tap saw that set's input already.
  static absl::StatusOr<FeedForward> Load(
      const Checkpoint& checkpoint, const FeedForwardDescription& description,
      const BlockPlan& plan, absl::Span<const Linear> linears, int first_set,
      bool input_shown);

  // x [rows, hidden], normalised -> [rows, hidden].
  Tensor Forward(const Tensor& x, BlockPass& pass) const;

 private:
  FeedForward(const FeedForwardDescription& description,
              absl::Span<const Linear> linears, int first_set, bool input_shown)
      : description_(&description),
        linears_(linears),
        first_set_(first_set),
        input_shown_(input_shown) {}

  // One dense network whose layers begin at `linears[0]`.
  Tensor Dense(const Tensor& x, absl::Span<const Linear> linears, int set,
               bool shown, BlockPass& pass) const;
  Tensor MixExperts(const Tensor& x, BlockPass& pass) const;

  const FeedForwardDescription* description_;
  absl::Span<const Linear> linears_;
  int first_set_;
  bool input_shown_;
  Tensor router_;  // [experts, hidden]; empty without experts
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_FEED_FORWARD_H_
