// Operations on tensors. Networks are written over these and nothing else, so
// that one definition serves inference and, with gradients on, training. Every
// operation returns a new tensor; the context's device does the arithmetic.
// Operations of tracked tensors are recorded (tensor/gradient_tape.h): all have
// gradients with respect to all tensor arguments that are not said to be
// constants. tensor/ops/ has one file a section.
//
// Shapes are written [rows, cols]; rows are the tokens of a SequenceBatch
// (tensor/sequence_batch.h).
#ifndef QUANTD_TENSOR_OPS_H_
#define QUANTD_TENSOR_OPS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd::ops {

// --- Arithmetic -----------------------------------------------------------

// x [rows, in] times w [out, in] transposed: [rows, out]. The orientation of
// linear layers in checkpoints.
Tensor LinearProduct(const Tensor& x, const Tensor& w, ExecutionContext& ctx);

// x + bias of [cols] on every row.
Tensor AddBias(const Tensor& x, const Tensor& bias, ExecutionContext& ctx);

// a + b, equal shapes.
Tensor Add(const Tensor& a, const Tensor& b, ExecutionContext& ctx);

// a * b by element, equal shapes.
Tensor Multiply(const Tensor& a, const Tensor& b, ExecutionContext& ctx);

// x * factor.
Tensor Scale(const Tensor& x, float factor);

// --- Norms ----------------------------------------------------------------

// x / rms(x) * weight per row; weight [cols].
Tensor RmsNorm(const Tensor& x, const Tensor& weight, float eps,
               ExecutionContext& ctx);

// (x - mean) / sqrt(variance + eps) * weight + bias per row; an empty weight
// or bias is left out.
Tensor LayerNorm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                 float eps, ExecutionContext& ctx);

// --- Attention ------------------------------------------------------------

// Which pairs of a head are rotated (kernels/device.h).
struct RotaryLayout {
  int64_t head_dim = 0;
  int64_t rotary_dim = 0;  // the first elements of a head; even
  bool interleaved = false;
};

// Rotary position embedding of x [rows, heads * head_dim]; cos, sin
// [positions, rotary_dim / 2], constants.
Tensor Rotary(const Tensor& x, const RotaryLayout& layout,
              const SequenceBatch& batch, const Tensor& cos, const Tensor& sin,
              ExecutionContext& ctx);

// How attention scores are made (kernels/device.h, AttentionArgs).
struct AttentionOptions {
  int64_t head_dim = 0;
  float scale = 1.0f;
  bool causal = true;
  int64_t window = 0;
  float softcap = 0.0f;
  Tensor key_bias;  // [heads, positions], or empty; a constant
};

// Keys and values of one sequence, its past included.
struct KeyValueView {
  const float* keys = nullptr;  // [past + tokens, kv_heads * head_dim]
  const float* values = nullptr;
};

// q [rows, heads * head_dim], k and v [rows, kv_heads * head_dim]; sequences
// without a past. `received`, if not null, becomes [rows]: the probabilities
// that each token's key gets, summed over queries and heads.
Tensor Attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options, const SequenceBatch& batch,
                 ExecutionContext& ctx, Tensor* received = nullptr);

// The same with the keys and values of every sequence held by a cache, those
// of the batch's rows included. Inference only: not recorded.
Tensor CachedAttention(const Tensor& q, absl::Span<const KeyValueView> cache,
                       int64_t kv_heads, const AttentionOptions& options,
                       const SequenceBatch& batch, ExecutionContext& ctx);

// --- Activations ----------------------------------------------------------

Tensor Activate(Activation activation, const Tensor& x, ExecutionContext& ctx);

// activation(gate) * up, equal shapes.
Tensor ActivateMul(Activation activation, const Tensor& gate, const Tensor& up,
                   ExecutionContext& ctx);

// cap * tanh(x / cap).
Tensor Softcap(const Tensor& x, float cap, ExecutionContext& ctx);

// log(1 + exp(x)).
Tensor Softplus(const Tensor& x);

// --- Columns and rows -----------------------------------------------------

// Columns [begin, begin + count) of the matrix view.
Tensor Columns(const Tensor& x, int64_t begin, int64_t count);

struct ColumnRange {
  int64_t begin = 0;
  int64_t count = 0;
};

// Ranges of columns side by side, in the order of `ranges`.
Tensor GatherColumns(const Tensor& x, absl::Span<const ColumnRange> ranges);

// Equally many rows of every part side by side. REQUIRES: there is a part.
Tensor ConcatenateColumns(absl::Span<const Tensor> parts);

// Rows of x in the order of `rows`.
Tensor GatherRows(const Tensor& x, absl::Span<const int64_t> rows);

// --- Mixtures of experts --------------------------------------------------

// Softmax over the `chosen` largest scores of every row, zero elsewhere. Of
// equal scores the first wins; the choice is a constant.
Tensor TopSoftmax(const Tensor& scores, int chosen);

// Row i of `x` belongs to row rows[i] of a mixture, and to one column of its
// shares.
struct RowsOfColumn {
  int64_t column = 0;
  std::vector<int64_t> rows;
  Tensor x;
};

// y[r] = sum over parts that have row r of shares[r, column] x[i].
// REQUIRES: there is a part; a part has a row at most once.
Tensor MixRows(const Tensor& shares, absl::Span<const RowsOfColumn> parts);

// --- State spaces ---------------------------------------------------------

// Depthwise causal convolution of every sequence; weight [channels, width],
// bias [channels] or empty. `history` has one [width - 1, channels] per
// sequence, and is replaced by the sequence's last rows.
Tensor CausalConv(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SequenceBatch& batch, absl::Span<Tensor> history,
                  ExecutionContext& ctx);

// Selective scan of every sequence (kernels/device.h): u, dt [rows, channels],
// b, c [rows, states], a [channels, states], skip [channels]. `state` has one
// [channels, states] per sequence, and is replaced. Gradients are those of
// sequences without a past.
Tensor SelectiveScan(const Tensor& u, const Tensor& dt, const Tensor& a,
                     const Tensor& b, const Tensor& c, const Tensor& skip,
                     const SequenceBatch& batch, absl::Span<Tensor> state,
                     ExecutionContext& ctx);

// --- Losses: one number a row ---------------------------------------------

// -log softmax(logits[r])[targets[r]], [rows].
Tensor NegativeLogLikelihood(const Tensor& logits,
                             absl::Span<const int32_t> targets,
                             ExecutionContext& ctx);

// KL(softmax(teacher / temperature) || softmax(student / temperature)), [rows],
// in nats; `teacher` is a constant.
Tensor KlDivergence(const Tensor& teacher, const Tensor& student,
                    float temperature, ExecutionContext& ctx);

// sum_c (x - target)^2, [rows]; `target` is a constant.
Tensor SquaredError(const Tensor& x, const Tensor& target);

// sum_c |x - target|, [rows]; `target` is a constant. The slope is 0 where they
// are equal.
Tensor AbsoluteError(const Tensor& x, const Tensor& target);

// 1 - x . target / (|x| |target|), [rows]; `target` is a constant. 1 without a
// slope where either is zero.
Tensor CosineDistance(const Tensor& x, const Tensor& target);

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_OPS_H_
