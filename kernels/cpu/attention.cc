#include "kernels/cpu/attention.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/backward_kernels.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/row_kernels.h"

namespace quantd::cpu {
namespace {

// Query rows per block: the scores of a block (128 x 512 floats) stay in the
// second-level cache, and a causal window of 512 skips 3/8 of the products.
constexpr int64_t kQueryBlock = 128;

// The keys [begin, end) that the query at `position` sees.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

KeyRange VisibleKeys(const AttentionArgs& args, int64_t keys,
                     int64_t position) {
  return {
      args.window > 0 ? std::max<int64_t>(0, position + 1 - args.window) : 0,
      args.causal ? position + 1 : keys};
}

// Turns products into probabilities, in place. `row[c]` belongs to key
// `first + c`.
void ScoresToProbabilities(const AttentionArgs& args, int64_t head,
                           int64_t first, int64_t keys, KeyRange visible,
                           float* row) {
  float scale = args.scale;
  if (args.softcap > 0) {
    SoftcapRange(scale, args.softcap, keys, row);
    scale = 1.0f;
  }
  if (args.key_bias != nullptr) {
    ScaleAddRange(scale, args.key_bias + head * args.key_bias_ld + first, keys,
                  row);
    scale = 1.0f;
  }
  SoftmaxRow(row, keys, visible.begin - first, visible.end - first, scale);
}

// Queries [begin, begin + rows) of a sequence and the keys [first, first +
// keys) that any of them sees.
struct QueryBlock {
  int64_t begin;
  int64_t rows;
  int64_t first;
  int64_t keys;
};

QueryBlock BlockAt(const AttentionArgs& args, const AttentionSequence& sequence,
                   int64_t begin) {
  const int64_t past = sequence.keys - sequence.queries;
  const int64_t rows = std::min(kQueryBlock, sequence.queries - begin);
  // Both ends of the range grow with the position.
  const int64_t first = VisibleKeys(args, sequence.keys, past + begin).begin;
  const int64_t end =
      VisibleKeys(args, sequence.keys, past + begin + rows - 1).end;
  return {begin, rows, first, end - first};
}

// One head of one sequence: where its rows lie, and products with them.
class Head {
 public:
  Head(const AttentionArgs& args, const AttentionSequence& sequence,
       int64_t head)
      : args_(args),
        sequence_(sequence),
        head_(head),
        kv_head_(head / (args.heads / args.kv_heads)),
        q_ld_(args.heads * args.head_dim),
        kv_ld_(args.kv_heads * args.head_dim) {}

  int64_t q_ld() const { return q_ld_; }
  int64_t kv_ld() const { return kv_ld_; }
  int64_t QueryOffset(const QueryBlock& block) const {
    return block.begin * q_ld_ + head_ * args_.head_dim;
  }
  int64_t KeyOffset(const QueryBlock& block) const {
    return block.first * kv_ld_ + kv_head_ * args_.head_dim;
  }

  // scores [rows, keys] = rows of `queries` times those of `keys`, transposed;
  // `queries` and `keys` lie as q and k (or v) do.
  void Multiply(const float* queries, const float* keys,
                const QueryBlock& block, std::vector<float>* scores) const {
    scores->resize(static_cast<size_t>(block.rows * block.keys));
    GemmArgs args;
    args.transpose_b = Transpose::kYes;
    args.m = block.rows;
    args.n = block.keys;
    args.k = args_.head_dim;
    args.a = queries + QueryOffset(block);
    args.lda = q_ld_;
    args.b = keys + KeyOffset(block);
    args.ldb = kv_ld_;
    args.c = scores->data();
    args.ldc = block.keys;
    args.compute = args_.compute;
    ChooseGemm(args).run(args);
  }

  // Rows of `out`, as q, from scores [rows, keys] times rows of `keys`.
  void ToQueries(const std::vector<float>& scores, const float* keys,
                 const QueryBlock& block, float* out) const {
    GemmArgs args;
    args.m = block.rows;
    args.n = args_.head_dim;
    args.k = block.keys;
    args.a = scores.data();
    args.lda = block.keys;
    args.b = keys + KeyOffset(block);
    args.ldb = kv_ld_;
    args.c = out + QueryOffset(block);
    args.ldc = q_ld_;
    args.compute = args_.compute;
    ChooseGemm(args).run(args);
  }

  // Rows of `out`, as k, increased by scores^T times rows of `queries`.
  void AddToKeys(const std::vector<float>& scores, const float* queries,
                 const QueryBlock& block, float* out) const {
    GemmArgs args;
    args.transpose_a = Transpose::kYes;
    args.m = block.keys;
    args.n = args_.head_dim;
    args.k = block.rows;
    args.a = scores.data();
    args.lda = block.keys;
    args.b = queries + QueryOffset(block);
    args.ldb = q_ld_;
    args.beta = 1.0f;
    args.c = out + KeyOffset(block);
    args.ldc = kv_ld_;
    ChooseGemm(args).run(args);
  }

  // Products become probabilities, in place.
  void ToProbabilities(const QueryBlock& block,
                       std::vector<float>* scores) const {
    const int64_t past = sequence_.keys - sequence_.queries;
    for (int64_t r = 0; r < block.rows; ++r) {
      ScoresToProbabilities(
          args_, head_, block.first, block.keys,
          VisibleKeys(args_, sequence_.keys, past + block.begin + r),
          scores->data() + r * block.keys);
    }
  }

 private:
  const AttentionArgs& args_;
  const AttentionSequence& sequence_;
  const int64_t head_;
  const int64_t kv_head_;
  const int64_t q_ld_;
  const int64_t kv_ld_;
};

void OneHead(const AttentionArgs& args, const AttentionSequence& sequence,
             int64_t index, std::vector<float>& scores) {
  const Head head(args, sequence, index);
  double* const received = sequence.received == nullptr
                               ? nullptr
                               : sequence.received + index * sequence.keys;
  if (received != nullptr) std::fill_n(received, sequence.keys, 0.0);
  for (int64_t begin = 0; begin < sequence.queries; begin += kQueryBlock) {
    const QueryBlock block = BlockAt(args, sequence, begin);
    head.Multiply(sequence.q, sequence.k, block, &scores);
    head.ToProbabilities(block, &scores);
    for (int64_t r = 0; r < block.rows && received != nullptr; ++r) {
      for (int64_t c = 0; c < block.keys; ++c) {
        received[block.first + c] +=
            double{scores[static_cast<size_t>(r * block.keys + c)]};
      }
    }
    head.ToQueries(scores, sequence.v, block, sequence.out);
  }
}

// Scores of a block on their way back.
struct BackwardScratch {
  std::vector<float> p;  // P, then ds
  std::vector<float> dp;
  std::vector<float> capped;  // scores behind the soft cap
};

void OneHeadBackward(const AttentionArgs& args,
                     const AttentionSequence& sequence,
                     const AttentionGradients& gradients, int64_t index,
                     BackwardScratch& scratch) {
  const Head head(args, sequence, index);
  for (int64_t begin = 0; begin < sequence.queries; begin += kQueryBlock) {
    const QueryBlock block = BlockAt(args, sequence, begin);
    const int64_t count = block.rows * block.keys;
    head.Multiply(sequence.q, sequence.k, block, &scratch.p);
    if (args.softcap > 0) {
      scratch.capped = scratch.p;
      SoftcapRange(args.scale, args.softcap, count, scratch.capped.data());
    }
    head.ToProbabilities(block, &scratch.p);
    head.AddToKeys(scratch.p, gradients.dout, block, gradients.dv);
    head.Multiply(gradients.dout, sequence.v, block, &scratch.dp);
    for (int64_t r = 0; r < block.rows; ++r) {
      float* p = scratch.p.data() + r * block.keys;
      const float* dp = scratch.dp.data() + r * block.keys;
      SoftmaxBackwardRow(dp, DotRange(p, dp, block.keys), block.keys, p);
    }
    if (args.softcap > 0) {
      // In place of dp, which is not needed any more.
      SoftcapBackwardRange(args.softcap, scratch.capped.data(),
                           scratch.p.data(), count, scratch.dp.data());
      scratch.p.swap(scratch.dp);
    }
    ScaleRange(args.scale, count, scratch.p.data());
    head.ToQueries(scratch.p, sequence.k, block, gradients.dq);
    head.AddToKeys(scratch.p, sequence.q, block, gradients.dk);
  }
}

}  // namespace

void Attention(const AttentionArgs& args, ThreadPool& pool) {
  pool.ParallelFor(args.sequence_count * args.heads, [&](int64_t index) {
    thread_local std::vector<float> scores;
    OneHead(args, args.sequences[index / args.heads], index % args.heads,
            scores);
  });
}

void AttentionBackward(const AttentionArgs& args,
                       const AttentionGradients* gradients, ThreadPool& pool) {
  // Heads that share keys and values add to the same gradients: one thread.
  const int64_t shared = args.heads / args.kv_heads;
  pool.ParallelFor(args.sequence_count * args.kv_heads, [&](int64_t index) {
    thread_local BackwardScratch scratch;
    const int64_t i = index / args.kv_heads;
    const int64_t kv_head = index % args.kv_heads;
    const AttentionSequence& sequence = args.sequences[i];
    const int64_t kv_ld = args.kv_heads * args.head_dim;
    for (int64_t t = 0; t < sequence.keys; ++t) {
      const int64_t offset = t * kv_ld + kv_head * args.head_dim;
      std::fill_n(gradients[i].dk + offset, args.head_dim, 0.0f);
      std::fill_n(gradients[i].dv + offset, args.head_dim, 0.0f);
    }
    for (int64_t h = 0; h < shared; ++h) {
      OneHeadBackward(args, sequence, gradients[i], kv_head * shared + h,
                      scratch);
    }
  });
}

}  // namespace quantd::cpu
