// GradientTape: reverse-mode differentiation of what the operations of
// tensor/ops.h compute. An operation with a tracked input is recorded, its
// result is tracked; everything else costs nothing. There is no second network
// for training:
//
//   GradientTape tape(ctx);
//   const Tensor w = tape.Watch(weight);             // the same numbers
//   const Tensor loss = ...;                         // any operations on w
//   tape.Backward({{loss, seed}});                   // d sum(seed * loss)
//   const Tensor dw = tape.Gradient(w);
//
// A record keeps the operands that its gradient needs until it has run. To
// bound memory, differentiate block by block: keep the inputs of the blocks,
// then, from the last to the first, run a block on a tape of its own, seed its
// output with the gradient that the block behind it has for its input.
//
// Confined to one thread, but for the device's own. Tensors of a tape are not
// used in operations once the tape is gone.
#ifndef QUANTD_TENSOR_GRADIENT_TAPE_H_
#define QUANTD_TENSOR_GRADIENT_TAPE_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "tensor/tensor.h"

namespace quantd {

class GradientTape {
 public:
  // `ctx` outlives the tape.
  explicit GradientTape(ExecutionContext& ctx) : ctx_(ctx) {}
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  ExecutionContext& ctx() const { return ctx_; }

  // `value`, tracked from here on: a leaf. Storage is shared.
  Tensor Watch(const Tensor& value);

  // Gradients of sum over outputs of sum(seed * output). An output that is not
  // tracked contributes nothing. Cancelled between records when the context is;
  // the tape can then only be destroyed. REQUIRES: shapes of seeds are those of
  // outputs. Records are used up: what was computed before cannot be
  // differentiated again.
  struct Seed {
    Tensor output;
    Tensor gradient;
  };
  absl::Status Backward(const std::vector<Seed>& seeds);

  // After Backward(), the gradient of a leaf; zeros when nothing depended on
  // it. REQUIRES: `leaf` came from Watch() of this tape.
  Tensor Gradient(const Tensor& leaf) const;

  // --- For operations ------------------------------------------------------

  // The tape that tracks one of `inputs`; null: none does.
  // REQUIRES: not two tapes.
  static GradientTape* Of(std::initializer_list<const Tensor*> inputs);

  // What a record remembers of an input: where its gradient goes.
  using Id = int64_t;
  static constexpr Id kUntracked = -1;
  Id IdOf(const Tensor& tensor) const {
    return tensor.tape() == this ? tensor.tape_index() : kUntracked;
  }

  // `output`, tracked; `backward` gets the gradient of it, with its shape, and
  // hands on what it finds to Add(). It keeps no tracked tensor.
  using Backpropagation = std::function<void(const Tensor& gradient)>;
  Tensor Record(Tensor output, Backpropagation backward);

  // Adds to the gradient of an input; nothing where it is not tracked. The tape
  // may keep `gradient`, whose numbers do not change any more. REQUIRES: as
  // many elements as the input.
  void Add(Id input, Tensor gradient);

 private:
  struct Entry {
    Shape shape;
    Backpropagation backward;  // empty for a leaf
    Tensor gradient;
    bool has_gradient = false;
    bool owned = false;  // `gradient` is shared with nobody
  };

  ExecutionContext& ctx_;
  // In the order of computation: inputs come before results.
  std::vector<Entry> entries_;
};

}  // namespace quantd

#endif  // QUANTD_TENSOR_GRADIENT_TAPE_H_
