// Normalization of rows.
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
namespace {

// Gradients of x, and of weight and bias where they are tracked.
struct NormInputs {
  Id x = kUntracked;
  Id weight = kUntracked;
  Id bias = kUntracked;
};

void BackThroughNorm(GradientTape* tape, const NormInputs& to, const Tensor& x,
                     const Tensor& weight, float eps, bool centred,
                     const Tensor& dy) {
  Device& device = tape->ctx().device();
  const size_t cols = static_cast<size_t>(x.cols());
  Tensor dx = Tensor::Uninitialized(x.shape());
  std::vector<double> dweight(to.weight != kUntracked ? cols : 0, 0.0);
  std::vector<double> dbias(to.bias != kUntracked ? cols : 0, 0.0);
  NormBackwardArgs args;
  args.rows = x.rows();
  args.cols = x.cols();
  args.eps = eps;
  args.x = x.data();
  args.weight = DataOrNull(weight);
  args.dy = dy.data();
  args.dx = dx.data();
  if (!dweight.empty()) args.dweight = dweight.data();
  if (!dbias.empty()) args.dbias = dbias.data();
  if (centred) {
    device.LayerNormBackward(args);
  } else {
    device.RmsNormBackward(args);
  }
  tape->Add(to.x, std::move(dx));
  if (!dweight.empty()) tape->Add(to.weight, ToTensor(dweight, {x.cols()}));
  if (!dbias.empty()) tape->Add(to.bias, ToTensor(dbias, {x.cols()}));
}

}  // namespace

Tensor RmsNorm(const Tensor& x, const Tensor& weight, float eps,
               ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().RmsNorm(x.data(), weight.data(), eps, x.rows(), x.cols(),
                       y.data());
  GradientTape* const tape = GradientTape::Of({&x, &weight});
  if (tape == nullptr) return y;
  const NormInputs to = {tape->IdOf(x), tape->IdOf(weight), kUntracked};
  return tape->Record(y, [tape, to, eps, x = x.Untracked(),
                          weight = weight.Untracked()](const Tensor& dy) {
    BackThroughNorm(tape, to, x, weight, eps, /*centred=*/false, dy);
  });
}

Tensor LayerNorm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                 float eps, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().LayerNorm(x.data(), DataOrNull(weight), DataOrNull(bias), eps,
                         x.rows(), x.cols(), y.data());
  GradientTape* const tape = GradientTape::Of({&x, &weight, &bias});
  if (tape == nullptr) return y;
  const NormInputs to = {tape->IdOf(x), tape->IdOf(weight), tape->IdOf(bias)};
  return tape->Record(y, [tape, to, eps, x = x.Untracked(),
                          weight = weight.Untracked()](const Tensor& dy) {
    BackThroughNorm(tape, to, x, weight, eps, /*centred=*/true, dy);
  });
}

}  // namespace quantd::ops
