// Operations on tensors. Networks are written over these and nothing else, so
// that one definition serves inference and, with gradients on, training. Every
// operation returns a new tensor; the context's device does the arithmetic.
//
// Shapes are written [rows, cols]; rows are tokens of one or more sequences of
// equal length, one sequence after the other.
#ifndef QUANTD_TENSOR_OPS_H_
#define QUANTD_TENSOR_OPS_H_

#include <cstdint>

#include "kernels/execution_context.h"
#include "tensor/tensor.h"

namespace quantd::ops {

// x [rows, in] times w [out, in] transposed: [rows, out]. The orientation of
// linear layers in checkpoints.
Tensor LinearProduct(const Tensor& x, const Tensor& w, ExecutionContext& ctx);

// x + bias of [cols] on every row.
Tensor AddBias(const Tensor& x, const Tensor& bias, ExecutionContext& ctx);

// a + b, equal shapes.
Tensor Add(const Tensor& a, const Tensor& b, ExecutionContext& ctx);

// x / rms(x) * weight per row; weight [cols].
Tensor RmsNorm(const Tensor& x, const Tensor& weight, float eps,
               ExecutionContext& ctx);

// Rotary position embedding of x [sequences * tokens, heads * head_dim];
// cos, sin [tokens, head_dim / 2].
Tensor Rotary(const Tensor& x, int64_t head_dim, int64_t tokens,
              const Tensor& cos, const Tensor& sin, ExecutionContext& ctx);

// Causal attention: q [n, heads * head_dim], k and v [n, kv_heads * head_dim],
// n = sequences * tokens; scores are scaled by 1 / sqrt(head_dim).
Tensor CausalAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                       int64_t head_dim, int64_t tokens, ExecutionContext& ctx);

// silu(gate) * up, equal shapes.
Tensor SiluMul(const Tensor& gate, const Tensor& up, ExecutionContext& ctx);

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_OPS_H_
