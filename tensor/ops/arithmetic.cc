// Products with weights, and sums and products by element.
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
namespace {

// dy w, for y = x w^T.
Tensor ProductForInput(const Tensor& dy, const Tensor& w,
                       ExecutionContext& ctx) {
  Tensor dx = Tensor::Uninitialized({dy.rows(), w.cols()});
  GemmArgs args;
  args.m = dy.rows();
  args.n = w.cols();
  args.k = dy.cols();
  args.a = dy.data();
  args.lda = dy.cols();
  args.b = w.data();
  args.ldb = w.cols();
  args.c = dx.data();
  args.ldc = dx.cols();
  ctx.device().Gemm(args);
  return dx;
}

// dy^T x, for y = x w^T.
Tensor ProductForWeight(const Tensor& dy, const Tensor& x,
                        ExecutionContext& ctx) {
  Tensor dw = Tensor::Uninitialized({dy.cols(), x.cols()});
  GemmArgs args;
  args.transpose_a = Transpose::kYes;
  args.m = dy.cols();
  args.n = x.cols();
  args.k = dy.rows();
  args.a = dy.data();
  args.lda = dy.cols();
  args.b = x.data();
  args.ldb = x.cols();
  args.c = dw.data();
  args.ldc = dw.cols();
  ctx.device().Gemm(args);
  return dw;
}

// The sum over rows, [cols].
Tensor ColumnSums(const Tensor& x, ExecutionContext& ctx) {
  std::vector<double> sums(static_cast<size_t>(x.cols()), 0.0);
  ctx.device().SumRows(x.data(), x.rows(), x.cols(), sums.data());
  return ToTensor(sums, {x.cols()});
}

}  // namespace

Tensor LinearProduct(const Tensor& x, const Tensor& w, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized({x.rows(), w.dim(0)});
  GemmArgs args;
  args.transpose_b = Transpose::kYes;
  args.m = x.rows();
  args.n = w.dim(0);
  args.k = w.dim(1);
  args.a = x.data();
  args.lda = x.cols();
  args.b = w.data();
  args.ldb = w.cols();
  args.c = y.data();
  args.ldc = y.cols();
  args.compute = ctx.compute_type();
  ctx.device().Gemm(args);
  GradientTape* const tape = GradientTape::Of({&x, &w});
  if (tape == nullptr) return y;
  const Id to_x = tape->IdOf(x);
  const Id to_w = tape->IdOf(w);
  return tape->Record(y, [tape, to_x, to_w, x = KeptFor(to_w, x),
                          w = KeptFor(to_x, w)](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_x != kUntracked) tape->Add(to_x, ProductForInput(dy, w, ctx));
    if (to_w != kUntracked) tape->Add(to_w, ProductForWeight(dy, x, ctx));
  });
}

Tensor AddBias(const Tensor& x, const Tensor& bias, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  ctx.device().AddBias(bias.data(), y.rows(), y.cols(), y.data());
  GradientTape* const tape = GradientTape::Of({&x, &bias});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x),
                          to_bias = tape->IdOf(bias)](const Tensor& dy) {
    tape->Add(to_x, dy);
    if (to_bias != kUntracked) tape->Add(to_bias, ColumnSums(dy, tape->ctx()));
  });
}

Tensor Add(const Tensor& a, const Tensor& b, ExecutionContext& ctx) {
  Tensor y = a.Clone();
  ctx.device().Add(b.data(), y.size(), y.data());
  GradientTape* const tape = GradientTape::Of({&a, &b});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_a = tape->IdOf(a), to_b = tape->IdOf(b)](const Tensor& dy) {
        tape->Add(to_a, dy);
        tape->Add(to_b, dy);
      });
}

Tensor Multiply(const Tensor& a, const Tensor& b, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(a.shape());
  ctx.device().Multiply(a.data(), b.data(), a.size(), y.data());
  GradientTape* const tape = GradientTape::Of({&a, &b});
  if (tape == nullptr) return y;
  const Id to_a = tape->IdOf(a);
  const Id to_b = tape->IdOf(b);
  return tape->Record(y, [tape, to_a, to_b, a = KeptFor(to_b, a),
                          b = KeptFor(to_a, b)](const Tensor& dy) {
    if (to_a != kUntracked) tape->Add(to_a, Multiply(dy, b, tape->ctx()));
    if (to_b != kUntracked) tape->Add(to_b, Multiply(dy, a, tape->ctx()));
  });
}

Tensor Scale(const Tensor& x, float factor) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data()[i] = x.data()[i] * factor;
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y,
                      [tape, to_x = tape->IdOf(x), factor](const Tensor& dy) {
                        tape->Add(to_x, Scale(dy, factor));
                      });
}

}  // namespace quantd::ops
