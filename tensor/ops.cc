#include "tensor/ops.h"

#include <cmath>

namespace quantd::ops {

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
  return y;
}

Tensor AddBias(const Tensor& x, const Tensor& bias, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  ctx.device().AddBias(bias.data(), y.rows(), y.cols(), y.data());
  return y;
}

Tensor Add(const Tensor& a, const Tensor& b, ExecutionContext& ctx) {
  Tensor y = a.Clone();
  ctx.device().Add(b.data(), y.size(), y.data());
  return y;
}

Tensor RmsNorm(const Tensor& x, const Tensor& weight, float eps,
               ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().RmsNorm(x.data(), weight.data(), eps, x.rows(), x.cols(),
                       y.data());
  return y;
}

Tensor Rotary(const Tensor& x, int64_t head_dim, int64_t tokens,
              const Tensor& cos, const Tensor& sin, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  ctx.device().Rotary(y.data(), y.rows(), y.cols() / head_dim, head_dim, tokens,
                      cos.data(), sin.data());
  return y;
}

Tensor CausalAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                       int64_t head_dim, int64_t tokens,
                       ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(q.shape());
  AttentionArgs args;
  args.sequences = q.rows() / tokens;
  args.tokens = tokens;
  args.heads = q.cols() / head_dim;
  args.kv_heads = k.cols() / head_dim;
  args.head_dim = head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  args.q = q.data();
  args.k = k.data();
  args.v = v.data();
  args.out = y.data();
  ctx.device().CausalAttention(args);
  return y;
}

Tensor SiluMul(const Tensor& gate, const Tensor& up, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(gate.shape());
  ctx.device().SiluMul(gate.data(), up.data(), gate.size(), y.data());
  return y;
}

}  // namespace quantd::ops
