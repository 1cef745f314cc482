#include "tensor/ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"

namespace quantd::ops {
namespace {

using Id = GradientTape::Id;
constexpr Id kUntracked = GradientTape::kUntracked;

// Null where the tensor is empty: an operand that is left out.
const float* DataOrNull(const Tensor& tensor) {
  return tensor.size() == 0 ? nullptr : tensor.data();
}

// What a record keeps of an operand that only the gradient of `other` needs.
Tensor KeptFor(Id other, const Tensor& operand) {
  return other != kUntracked ? operand.Untracked() : Tensor();
}

Tensor ToTensor(const std::vector<double>& values, Shape shape) {
  Tensor t = Tensor::Uninitialized(std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) {
    t.data()[i] = static_cast<float>(values[i]);
  }
  return t;
}

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

Tensor Product(const Tensor& a, const Tensor& b, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(a.shape());
  ctx.device().Multiply(a.data(), b.data(), a.size(), y.data());
  return y;
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
  Tensor y = Product(a, b, ctx);
  GradientTape* const tape = GradientTape::Of({&a, &b});
  if (tape == nullptr) return y;
  const Id to_a = tape->IdOf(a);
  const Id to_b = tape->IdOf(b);
  return tape->Record(y, [tape, to_a, to_b, a = KeptFor(to_b, a),
                          b = KeptFor(to_a, b)](const Tensor& dy) {
    if (to_a != kUntracked) tape->Add(to_a, Product(dy, b, tape->ctx()));
    if (to_b != kUntracked) tape->Add(to_b, Product(dy, a, tape->ctx()));
  });
}

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

namespace {

Tensor Rotate(const Tensor& x, const RotaryLayout& layout,
              absl::Span<const int32_t> positions, const Tensor& cos,
              const Tensor& sin, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  RotaryArgs args;
  args.x = y.data();
  args.rows = y.rows();
  args.heads = y.cols() / layout.head_dim;
  args.head_dim = layout.head_dim;
  args.rotary_dim = layout.rotary_dim;
  args.interleaved = layout.interleaved;
  args.positions = positions.data();
  args.cos = cos.data();
  args.sin = sin.data();
  ctx.device().Rotary(args);
  return y;
}

}  // namespace

Tensor Rotary(const Tensor& x, const RotaryLayout& layout,
              const SequenceBatch& batch, const Tensor& cos, const Tensor& sin,
              ExecutionContext& ctx) {
  Tensor y = Rotate(x, layout, batch.positions(), cos, sin, ctx);
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  // A rotation's transpose is the rotation by the negative angle.
  return tape->Record(y, [tape, to_x = tape->IdOf(x), layout, cos, sin,
                          positions = std::vector<int32_t>(
                              batch.positions().begin(),
                              batch.positions().end())](const Tensor& dy) {
    tape->Add(to_x, Rotate(dy, layout, positions, cos, Scale(sin, -1.0f),
                           tape->ctx()));
  });
}

namespace {

// All but the sequences.
AttentionArgs ArgsOf(const AttentionOptions& options, int64_t heads,
                     int64_t kv_heads) {
  AttentionArgs args;
  args.heads = heads;
  args.kv_heads = kv_heads;
  args.head_dim = options.head_dim;
  args.scale = options.scale;
  args.causal = options.causal;
  args.window = options.window;
  args.softcap = options.softcap;
  args.key_bias = DataOrNull(options.key_bias);
  args.key_bias_ld = options.key_bias.cols();
  return args;
}

// One sequence of an attention call a sequence of the batch; `received` has
// one [heads, keys] for each, or is empty.
void RunAttention(const Tensor& q, absl::Span<const KeyValueView> cache,
                  int64_t kv_heads, const AttentionOptions& options,
                  const SequenceBatch& batch,
                  absl::Span<std::vector<double>> received, Tensor* y,
                  ExecutionContext& ctx) {
  std::vector<AttentionSequence> sequences;
  for (size_t i = 0; i < batch.sequences().size(); ++i) {
    const SequenceBatch::Sequence& s = batch.sequences()[i];
    AttentionSequence sequence;
    sequence.queries = s.tokens;
    sequence.keys = s.past + s.tokens;
    sequence.q = q.row(s.begin);
    sequence.k = cache[i].keys;
    sequence.v = cache[i].values;
    sequence.out = y->row(s.begin);
    if (!received.empty()) sequence.received = received[i].data();
    sequences.push_back(sequence);
  }
  AttentionArgs args = ArgsOf(options, q.cols() / options.head_dim, kv_heads);
  args.sequences = sequences.data();
  args.sequence_count = static_cast<int64_t>(sequences.size());
  if (ctx.compute_type() == ComputeType::kF32Strict) {
    args.compute = ComputeType::kF32Strict;
  }
  ctx.device().Attention(args);
}

// q, k, v and where their gradients go.
struct AttentionInputs {
  Tensor q, k, v;
  Id to_q, to_k, to_v;
};

void BackThroughAttention(GradientTape* tape, const AttentionInputs& in,
                          const AttentionOptions& options,
                          absl::Span<const SequenceBatch::Sequence> sequences,
                          const Tensor& dy) {
  Tensor dq = Tensor::Uninitialized(in.q.shape());
  Tensor dk = Tensor::Uninitialized(in.k.shape());
  Tensor dv = Tensor::Uninitialized(in.v.shape());
  std::vector<AttentionSequence> forward;
  std::vector<AttentionGradients> gradients;
  for (const SequenceBatch::Sequence& s : sequences) {
    AttentionSequence sequence;
    sequence.queries = sequence.keys = s.tokens;
    sequence.q = in.q.row(s.begin);
    sequence.k = in.k.row(s.begin);
    sequence.v = in.v.row(s.begin);
    forward.push_back(sequence);
    gradients.push_back(
        {dy.row(s.begin), dq.row(s.begin), dk.row(s.begin), dv.row(s.begin)});
  }
  AttentionArgs args = ArgsOf(options, in.q.cols() / options.head_dim,
                              in.k.cols() / options.head_dim);
  args.sequences = forward.data();
  args.sequence_count = static_cast<int64_t>(forward.size());
  tape->ctx().device().AttentionBackward(args, gradients.data());
  tape->Add(in.to_q, std::move(dq));
  tape->Add(in.to_k, std::move(dk));
  tape->Add(in.to_v, std::move(dv));
}

}  // namespace

Tensor Attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options, const SequenceBatch& batch,
                 ExecutionContext& ctx, Tensor* received) {
  const int64_t heads = q.cols() / options.head_dim;
  std::vector<KeyValueView> views;
  std::vector<std::vector<double>> sums;
  for (const SequenceBatch::Sequence& sequence : batch.sequences()) {
    views.push_back({k.row(sequence.begin), v.row(sequence.begin)});
    if (received != nullptr) {
      sums.emplace_back(static_cast<size_t>(heads * sequence.tokens));
    }
  }
  Tensor y = Tensor::Uninitialized(q.shape());
  RunAttention(q, views, k.cols() / options.head_dim, options, batch,
               absl::MakeSpan(sums), &y, ctx);
  if (received != nullptr) *received = Tensor::Uninitialized({q.rows()});
  for (size_t i = 0; i < sums.size(); ++i) {
    const SequenceBatch::Sequence& s = batch.sequences()[i];
    for (int64_t t = 0; t < s.tokens; ++t) {
      double total = 0;
      for (int64_t h = 0; h < heads; ++h) {
        total += sums[i][static_cast<size_t>(h * s.tokens + t)];
      }
      received->data()[s.begin + t] = static_cast<float>(total);
    }
  }
  GradientTape* const tape = GradientTape::Of({&q, &k, &v});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape,
          in = AttentionInputs{q.Untracked(), k.Untracked(), v.Untracked(),
                               tape->IdOf(q), tape->IdOf(k), tape->IdOf(v)},
          options,
          sequences = std::vector<SequenceBatch::Sequence>(
              batch.sequences().begin(), batch.sequences().end())](
             const Tensor& dy) {
        BackThroughAttention(tape, in, options, sequences, dy);
      });
}

Tensor CachedAttention(const Tensor& q, absl::Span<const KeyValueView> cache,
                       int64_t kv_heads, const AttentionOptions& options,
                       const SequenceBatch& batch, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(q.shape());
  RunAttention(q, cache, kv_heads, options, batch, {}, &y, ctx);
  return y;
}

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
                                                   Product(dy, up, ctx), ctx));
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

Tensor Columns(const Tensor& x, int64_t begin, int64_t count) {
  return GatherColumns(x, {{begin, count}});
}

Tensor GatherColumns(const Tensor& x, absl::Span<const ColumnRange> ranges) {
  int64_t cols = 0;
  for (const ColumnRange& range : ranges) cols += range.count;
  Tensor y = Tensor::Uninitialized({x.rows(), cols});
  for (int64_t r = 0; r < x.rows(); ++r) {
    float* target = y.row(r);
    for (const ColumnRange& range : ranges) {
      target = std::copy_n(x.row(r) + range.begin, range.count, target);
    }
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), shape = x.shape(),
                          ranges = std::vector<ColumnRange>(
                              ranges.begin(), ranges.end())](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(shape);
    for (int64_t r = 0; r < dx.rows(); ++r) {
      const float* source = dy.row(r);
      for (const ColumnRange& range : ranges) {
        float* target = dx.row(r) + range.begin;
        for (int64_t c = 0; c < range.count; ++c) target[c] += *source++;
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

Tensor ConcatenateColumns(absl::Span<const Tensor> parts) {
  int64_t cols = 0;
  for (const Tensor& part : parts) cols += part.cols();
  Tensor y = Tensor::Uninitialized({parts[0].rows(), cols});
  std::vector<ColumnRange> ranges;
  GradientTape* tape = nullptr;
  std::vector<Id> ids;
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    for (int64_t r = 0; r < y.rows(); ++r) {
      std::copy_n(part.row(r), part.cols(), y.row(r) + begin);
    }
    ranges.push_back({begin, part.cols()});
    begin += part.cols();
    if (part.tape() != nullptr) tape = part.tape();
  }
  if (tape == nullptr) return y;
  for (const Tensor& part : parts) ids.push_back(tape->IdOf(part));
  return tape->Record(y, [tape, ids, ranges](const Tensor& dy) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kUntracked) continue;
      tape->Add(ids[i], GatherColumns(dy, {ranges[i]}));
    }
  });
}

Tensor GatherRows(const Tensor& x, absl::Span<const int64_t> rows) {
  Tensor y =
      Tensor::Uninitialized({static_cast<int64_t>(rows.size()), x.cols()});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(rows[i]), x.cols(), y.row(static_cast<int64_t>(i)));
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), shape = x.shape(),
                          rows = std::vector<int64_t>(
                              rows.begin(), rows.end())](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(shape);
    for (size_t i = 0; i < rows.size(); ++i) {
      const float* source = dy.row(static_cast<int64_t>(i));
      float* target = dx.row(rows[i]);
      for (int64_t c = 0; c < dx.cols(); ++c) target[c] += source[c];
    }
    tape->Add(to_x, std::move(dx));
  });
}

Tensor TopSoftmax(const Tensor& scores, int chosen) {
  Tensor y = Tensor::Zeros(scores.shape());
  std::vector<int64_t> order(static_cast<size_t>(scores.cols()));
  for (int64_t r = 0; r < scores.rows(); ++r) {
    const float* row = scores.row(r);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [row](int64_t a, int64_t b) { return row[a] > row[b]; });
    const absl::Span<const int64_t> best =
        absl::MakeSpan(order).first(static_cast<size_t>(chosen));
    double sum = 0;
    for (int64_t c : best) sum += std::exp(double{row[c]} - row[best[0]]);
    for (int64_t c : best) {
      y.row(r)[c] =
          static_cast<float>(std::exp(double{row[c]} - row[best[0]]) / sum);
    }
  }
  GradientTape* const tape = GradientTape::Of({&scores});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_scores = tape->IdOf(scores), y](const Tensor& dy) {
        Tensor dscores = Tensor::Uninitialized(y.shape());
        for (int64_t r = 0; r < y.rows(); ++r) {
          double mean = 0;
          for (int64_t c = 0; c < y.cols(); ++c) {
            mean += double{y.row(r)[c]} * dy.row(r)[c];
          }
          for (int64_t c = 0; c < y.cols(); ++c) {
            dscores.row(r)[c] =
                static_cast<float>(double{y.row(r)[c]} * (dy.row(r)[c] - mean));
          }
        }
        tape->Add(to_scores, std::move(dscores));
      });
}

Tensor MixRows(const Tensor& shares, absl::Span<const RowsOfColumn> parts) {
  Tensor y = Tensor::Zeros({shares.rows(), parts[0].x.cols()});
  GradientTape* tape = shares.tape();
  for (const RowsOfColumn& part : parts) {
    for (size_t i = 0; i < part.rows.size(); ++i) {
      const float share = shares.row(part.rows[i])[part.column];
      const float* source = part.x.row(static_cast<int64_t>(i));
      float* target = y.row(part.rows[i]);
      for (int64_t c = 0; c < y.cols(); ++c) target[c] += share * source[c];
    }
    if (part.x.tape() != nullptr) tape = part.x.tape();
  }
  if (tape == nullptr) return y;
  std::vector<Id> ids;
  std::vector<RowsOfColumn> kept;
  for (const RowsOfColumn& part : parts) {
    ids.push_back(tape->IdOf(part.x));
    kept.push_back({part.column, part.rows, part.x.Untracked()});
  }
  return tape->Record(y, [tape, ids, kept, to_shares = tape->IdOf(shares),
                          shares = shares.Untracked()](const Tensor& dy) {
    Tensor dshares = Tensor::Zeros(shares.shape());
    for (size_t p = 0; p < kept.size(); ++p) {
      const RowsOfColumn& part = kept[p];
      Tensor dx = Tensor::Uninitialized(part.x.shape());
      for (size_t i = 0; i < part.rows.size(); ++i) {
        const int64_t local = static_cast<int64_t>(i);
        const float* gradient = dy.row(part.rows[i]);
        const float share = shares.row(part.rows[i])[part.column];
        double sum = 0;
        for (int64_t c = 0; c < dx.cols(); ++c) {
          dx.row(local)[c] = share * gradient[c];
          sum += double{gradient[c]} * part.x.row(local)[c];
        }
        dshares.row(part.rows[i])[part.column] = static_cast<float>(sum);
      }
      tape->Add(ids[p], std::move(dx));
    }
    tape->Add(to_shares, std::move(dshares));
  });
}

Tensor CausalConv(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const SequenceBatch& batch, absl::Span<Tensor> history,
                  ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (size_t i = 0; i < batch.sequences().size(); ++i) {
    const SequenceBatch::Sequence& sequence = batch.sequences()[i];
    CausalConvArgs args;
    args.tokens = sequence.tokens;
    args.channels = x.cols();
    args.width = weight.cols();
    args.x = x.row(sequence.begin);
    args.weight = weight.data();
    args.bias = DataOrNull(bias);
    args.history = history[i].data();
    args.y = y.row(sequence.begin);
    ctx.device().CausalConv(args);
  }
  GradientTape* const tape = GradientTape::Of({&x, &weight, &bias});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_x = tape->IdOf(x), to_weight = tape->IdOf(weight),
          to_bias = tape->IdOf(bias), x = x.Untracked(),
          weight = weight.Untracked(),
          sequences = std::vector<SequenceBatch::Sequence>(
              batch.sequences().begin(), batch.sequences().end())](
             const Tensor& dy) {
        Tensor dx = Tensor::Uninitialized(x.shape());
        std::vector<double> dweight(static_cast<size_t>(weight.size()), 0.0);
        std::vector<double> dbias(static_cast<size_t>(x.cols()), 0.0);
        for (const SequenceBatch::Sequence& sequence : sequences) {
          CausalConvBackwardArgs args;
          args.tokens = sequence.tokens;
          args.channels = x.cols();
          args.width = weight.cols();
          args.x = x.row(sequence.begin);
          args.weight = weight.data();
          args.dy = dy.row(sequence.begin);
          args.dx = dx.row(sequence.begin);
          args.dweight = dweight.data();
          args.dbias = dbias.data();
          tape->ctx().device().CausalConvBackward(args);
        }
        tape->Add(to_x, std::move(dx));
        tape->Add(to_weight, ToTensor(dweight, weight.shape()));
        tape->Add(to_bias, ToTensor(dbias, {x.cols()}));
      });
}

Tensor SelectiveScan(const Tensor& u, const Tensor& dt, const Tensor& a,
                     const Tensor& b, const Tensor& c, const Tensor& skip,
                     const SequenceBatch& batch, absl::Span<Tensor> state,
                     ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(u.shape());
  for (size_t i = 0; i < batch.sequences().size(); ++i) {
    const SequenceBatch::Sequence& sequence = batch.sequences()[i];
    SelectiveScanArgs args;
    args.tokens = sequence.tokens;
    args.channels = u.cols();
    args.states = a.cols();
    args.u = u.row(sequence.begin);
    args.dt = dt.row(sequence.begin);
    args.a = a.data();
    args.b = b.row(sequence.begin);
    args.c = c.row(sequence.begin);
    args.skip = skip.data();
    args.h = state[i].data();
    args.y = y.row(sequence.begin);
    ctx.device().SelectiveScan(args);
  }
  GradientTape* const tape = GradientTape::Of({&u, &dt, &a, &b, &c, &skip});
  if (tape == nullptr) return y;
  const std::vector<Id> ids = {tape->IdOf(u), tape->IdOf(dt), tape->IdOf(a),
                               tape->IdOf(b), tape->IdOf(c),  tape->IdOf(skip)};
  return tape->Record(
      y, [tape, ids, u = u.Untracked(), dt = dt.Untracked(), a = a.Untracked(),
          b = b.Untracked(), c = c.Untracked(), skip = skip.Untracked(),
          sequences = std::vector<SequenceBatch::Sequence>(
              batch.sequences().begin(), batch.sequences().end())](
             const Tensor& dy) {
        Tensor du = Tensor::Uninitialized(u.shape());
        Tensor ddt = Tensor::Uninitialized(dt.shape());
        Tensor db = Tensor::Uninitialized(b.shape());
        Tensor dc = Tensor::Uninitialized(c.shape());
        std::vector<double> da(static_cast<size_t>(a.size()), 0.0);
        std::vector<double> dskip(static_cast<size_t>(skip.size()), 0.0);
        for (const SequenceBatch::Sequence& sequence : sequences) {
          SelectiveScanBackwardArgs args;
          args.tokens = sequence.tokens;
          args.channels = u.cols();
          args.states = a.cols();
          args.u = u.row(sequence.begin);
          args.dt = dt.row(sequence.begin);
          args.a = a.data();
          args.b = b.row(sequence.begin);
          args.c = c.row(sequence.begin);
          args.skip = skip.data();
          args.dy = dy.row(sequence.begin);
          args.du = du.row(sequence.begin);
          args.ddt = ddt.row(sequence.begin);
          args.db = db.row(sequence.begin);
          args.dc = dc.row(sequence.begin);
          args.da = da.data();
          args.dskip = dskip.data();
          tape->ctx().device().SelectiveScanBackward(args);
        }
        tape->Add(ids[0], std::move(du));
        tape->Add(ids[1], std::move(ddt));
        tape->Add(ids[2], ToTensor(da, a.shape()));
        tape->Add(ids[3], std::move(db));
        tape->Add(ids[4], std::move(dc));
        tape->Add(ids[5], ToTensor(dskip, {u.cols()}));
      });
}

// --- Losses ----------------------------------------------------------------

Tensor NegativeLogLikelihood(const Tensor& logits,
                             absl::Span<const int32_t> targets,
                             ExecutionContext& ctx) {
  std::vector<double> nll(targets.size());
  ctx.device().NegativeLogLikelihood(logits.data(), targets.data(),
                                     logits.rows(), logits.cols(), nll.data());
  Tensor y = ToTensor(nll, {logits.rows()});
  GradientTape* const tape = GradientTape::Of({&logits});
  if (tape == nullptr) return y;
  return tape->Record(
      y, [tape, to_logits = tape->IdOf(logits), logits = logits.Untracked(),
          targets = std::vector<int32_t>(targets.begin(), targets.end())](
             const Tensor& dy) {
        const std::vector<double> dnll(dy.values().begin(), dy.values().end());
        Tensor dlogits = Tensor::Uninitialized(logits.shape());
        tape->ctx().device().NegativeLogLikelihoodBackward(
            logits.data(), targets.data(), dnll.data(), logits.rows(),
            logits.cols(), dlogits.data());
        tape->Add(to_logits, std::move(dlogits));
      });
}

Tensor KlDivergence(const Tensor& teacher, const Tensor& student,
                    float temperature, ExecutionContext& ctx) {
  std::vector<double> kl(static_cast<size_t>(student.rows()));
  ctx.device().KlDivergence(teacher.data(), student.data(), temperature,
                            student.rows(), student.cols(), kl.data());
  Tensor y = ToTensor(kl, {student.rows()});
  GradientTape* const tape = GradientTape::Of({&student});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_student = tape->IdOf(student), temperature,
                          teacher = teacher.Untracked(),
                          student = student.Untracked()](const Tensor& dy) {
    const std::vector<double> dkl(dy.values().begin(), dy.values().end());
    Tensor dstudent = Tensor::Uninitialized(student.shape());
    tape->ctx().device().KlDivergenceBackward(
        teacher.data(), student.data(), temperature, dkl.data(), student.rows(),
        student.cols(), dstudent.data());
    tape->Add(to_student, std::move(dstudent));
  });
}

Tensor SquaredError(const Tensor& x, const Tensor& target) {
  Tensor y = Tensor::Uninitialized({x.rows()});
  for (int64_t r = 0; r < x.rows(); ++r) {
    double sum = 0;
    for (int64_t c = 0; c < x.cols(); ++c) {
      const double d = double{x.row(r)[c]} - target.row(r)[c];
      sum += d * d;
    }
    y.data()[r] = static_cast<float>(sum);
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), x = x.Untracked(),
                          target = target.Untracked()](const Tensor& dy) {
    Tensor dx = Tensor::Uninitialized(x.shape());
    for (int64_t r = 0; r < x.rows(); ++r) {
      for (int64_t c = 0; c < x.cols(); ++c) {
        dx.row(r)[c] = 2 * dy.data()[r] * (x.row(r)[c] - target.row(r)[c]);
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

Tensor AbsoluteError(const Tensor& x, const Tensor& target) {
  Tensor y = Tensor::Uninitialized({x.rows()});
  for (int64_t r = 0; r < x.rows(); ++r) {
    double sum = 0;
    for (int64_t c = 0; c < x.cols(); ++c) {
      sum += std::abs(double{x.row(r)[c]} - target.row(r)[c]);
    }
    y.data()[r] = static_cast<float>(sum);
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), x = x.Untracked(),
                          target = target.Untracked()](const Tensor& dy) {
    Tensor dx = Tensor::Uninitialized(x.shape());
    for (int64_t r = 0; r < x.rows(); ++r) {
      for (int64_t c = 0; c < x.cols(); ++c) {
        const float d = x.row(r)[c] - target.row(r)[c];
        dx.row(r)[c] = d > 0 ? dy.data()[r] : d < 0 ? -dy.data()[r] : 0.0f;
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

namespace {

// Of the vectors x and t: their product and squared norms.
struct Angle {
  Angle(const float* x, const float* t, int64_t n) {
    for (int64_t c = 0; c < n; ++c) {
      dot += double{x[c]} * t[c];
      xx += double{x[c]} * x[c];
      tt += double{t[c]} * t[c];
    }
  }
  bool exists() const { return xx > 0 && tt > 0; }
  double cosine() const { return dot / std::sqrt(xx * tt); }

  double dot = 0;
  double xx = 0;
  double tt = 0;
};

}  // namespace

Tensor CosineDistance(const Tensor& x, const Tensor& target) {
  Tensor y = Tensor::Uninitialized({x.rows()});
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Angle angle(x.row(r), target.row(r), x.cols());
    y.data()[r] =
        angle.exists() ? static_cast<float>(1 - angle.cosine()) : 1.0f;
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), x = x.Untracked(),
                          target = target.Untracked()](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(x.shape());
    for (int64_t r = 0; r < x.rows(); ++r) {
      const Angle angle(x.row(r), target.row(r), x.cols());
      if (!angle.exists()) continue;
      const double norms = std::sqrt(angle.xx * angle.tt);
      for (int64_t c = 0; c < x.cols(); ++c) {
        dx.row(r)[c] = static_cast<float>(
            dy.data()[r] * (angle.cosine() / angle.xx * x.row(r)[c] -
                            target.row(r)[c] / norms));
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

}  // namespace quantd::ops
