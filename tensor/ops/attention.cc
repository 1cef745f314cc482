// Attention, and the rotary embedding of its positions.
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
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
                          positions = batch.positions()](const Tensor& dy) {
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
          options, sequences = batch.sequences()](const Tensor& dy) {
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

}  // namespace quantd::ops
