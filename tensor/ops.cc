#include "tensor/ops.h"

#include <algorithm>
#include <vector>

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

namespace {

// Null where the tensor is empty: an operand that is left out.
const float* DataOrNull(const Tensor& tensor) {
  return tensor.size() == 0 ? nullptr : tensor.data();
}

}  // namespace

Tensor LayerNorm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                 float eps, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().LayerNorm(x.data(), DataOrNull(weight), DataOrNull(bias), eps,
                         x.rows(), x.cols(), y.data());
  return y;
}

Tensor Rotary(const Tensor& x, const RotaryLayout& layout,
              const SequenceBatch& batch, const Tensor& cos, const Tensor& sin,
              ExecutionContext& ctx) {
  Tensor y = x.Clone();
  RotaryArgs args;
  args.x = y.data();
  args.rows = y.rows();
  args.heads = y.cols() / layout.head_dim;
  args.head_dim = layout.head_dim;
  args.rotary_dim = layout.rotary_dim;
  args.interleaved = layout.interleaved;
  args.positions = batch.positions().data();
  args.cos = cos.data();
  args.sin = sin.data();
  ctx.device().Rotary(args);
  return y;
}

namespace {

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
  AttentionArgs args;
  args.sequences = sequences.data();
  args.sequence_count = static_cast<int64_t>(sequences.size());
  args.heads = q.cols() / options.head_dim;
  args.kv_heads = kv_heads;
  args.head_dim = options.head_dim;
  args.scale = options.scale;
  args.causal = options.causal;
  args.window = options.window;
  args.softcap = options.softcap;
  args.key_bias = DataOrNull(options.key_bias);
  args.key_bias_ld = options.key_bias.cols();
  ctx.device().Attention(args);
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
  if (received == nullptr) return y;
  *received = Tensor::Uninitialized({q.rows()});
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
  return y;
}

Tensor CachedAttention(const Tensor& q, absl::Span<const KeyValueView> cache,
                       int64_t kv_heads, const AttentionOptions& options,
                       const SequenceBatch& batch, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(q.shape());
  RunAttention(q, cache, kv_heads, options, batch, {}, &y, ctx);
  return y;
}

Tensor Activate(Activation activation, const Tensor& x, ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ctx.device().Activate(activation, x.data(), x.size(), y.data());
  return y;
}

Tensor ActivateMul(Activation activation, const Tensor& gate, const Tensor& up,
                   ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(gate.shape());
  ctx.device().ActivateMul(activation, gate.data(), up.data(), gate.size(),
                           y.data());
  return y;
}

Tensor Softcap(const Tensor& x, float cap, ExecutionContext& ctx) {
  Tensor y = x.Clone();
  ctx.device().Softcap(cap, y.size(), y.data());
  return y;
}

Tensor Scale(const Tensor& x, float factor) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data()[i] = x.data()[i] * factor;
  return y;
}

Tensor Clamp(const Tensor& x, float limit) {
  Tensor y = Tensor::Uninitialized(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    y.data()[i] = std::clamp(x.data()[i], -limit, limit);
  }
  return y;
}

Tensor Columns(const Tensor& x, int64_t begin, int64_t count) {
  Tensor y = Tensor::Uninitialized({x.rows(), count});
  for (int64_t r = 0; r < x.rows(); ++r) {
    std::copy_n(x.row(r) + begin, count, y.row(r));
  }
  return y;
}

Tensor GatherRows(const Tensor& x, absl::Span<const int64_t> rows) {
  Tensor y =
      Tensor::Uninitialized({static_cast<int64_t>(rows.size()), x.cols()});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(rows[i]), x.cols(), y.row(static_cast<int64_t>(i)));
  }
  return y;
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
  return y;
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
  return y;
}

}  // namespace quantd::ops
