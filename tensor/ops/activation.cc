// Functions of single elements, and gates made of them.
#include <cmath>
#include <utility>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
namespace {

Tensor BackThroughActivation(Activation activation, const Tensor& x,
                             const Tensor& dy, ExecutionContext& ctx) {
  Tensor dx = Tensor::Uninitialized(x.shape());
  ctx.device().ActivateBackward(activation, x.data(), dy.data(), x.size(),
                                dx.data());
  return dx;
}

Tensor ActivatedProduct(Activation activation, const Tensor& gate,
                        const Tensor& up, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(gate.shape());
  ctx.device().ActivateMul(activation, gate.data(), up.data(), gate.size(),
                           y.data());
  return y;
}

}  // namespace

Tensor Activate(Activation activation, const Tensor& x, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().Activate(activation, x.data(), x.size(), y.data());
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), activation,
                          x = x.Untracked()](const Tensor& dy) {
    tape->Add(to_x, BackThroughActivation(activation, x, dy, tape->ctx()));
  });
}

Tensor ActivateMul(Activation activation, const Tensor& gate, const Tensor& up,
                   ExecutionContext& ctx) {
  Tensor y = ActivatedProduct(activation, gate, up, ctx);
  GradientTape* const tape = GradientTape::Of({&gate, &up});
  if (tape == nullptr) return y;
  const Id to_gate = tape->IdOf(gate);
  const Id to_up = tape->IdOf(up);
  return tape->Record(
      y, [tape, to_gate, to_up, activation, gate = gate.Untracked(),
          up = KeptFor(to_gate, up)](const Tensor& dy) {
        ExecutionContext& ctx = tape->ctx();
        if (to_gate != kUntracked) {
          tape->Add(to_gate, BackThroughActivation(activation, gate,
                                                   Multiply(dy, up, ctx), ctx));
        }
        if (to_up != kUntracked) {
          tape->Add(to_up, ActivatedProduct(activation, gate, dy, ctx));
        }
      });
}

Tensor Softcap(const Tensor& x, float cap, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  ctx.device().Softcap(cap, y.size(), y.data());
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y,
                      [tape, to_x = tape->IdOf(x), cap, y](const Tensor& dy) {
                        Tensor dx = Tensor::Uninitialized(y.shape());
                        tape->ctx().device().SoftcapBackward(
                            cap, y.data(), dy.data(), y.size(), dx.data());
                        tape->Add(to_x, std::move(dx));
                      });
}

Tensor Softplus(const Tensor& x) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    const float value = x.data()[i];
    // x itself where the difference vanishes in float32.
    y.data()[i] = value > 20.0f ? value : std::log1p(std::exp(value));
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x),
                          x = x.Untracked()](const Tensor& dy) {
    tape->Add(to_x, ActivatedProduct(Activation::kSigmoid, x, dy, tape->ctx()));
  });
}

}  // namespace quantd::ops
