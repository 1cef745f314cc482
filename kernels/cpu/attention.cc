#include "kernels/cpu/attention.h"

#include <algorithm>
#include <vector>

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

void OneHead(const AttentionArgs& args, const AttentionSequence& sequence,
             int64_t head, std::vector<float>& scores) {
  const int64_t d = args.head_dim;
  const int64_t q_ld = args.heads * d;
  const int64_t kv_ld = args.kv_heads * d;
  const int64_t kv_head = head / (args.heads / args.kv_heads);
  const int64_t past = sequence.keys - sequence.queries;
  double* const received = sequence.received == nullptr
                               ? nullptr
                               : sequence.received + head * sequence.keys;
  if (received != nullptr) std::fill_n(received, sequence.keys, 0.0);
  for (int64_t begin = 0; begin < sequence.queries; begin += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, sequence.queries - begin);
    // Both ends of the range grow with the position.
    const int64_t first = VisibleKeys(args, sequence.keys, past + begin).begin;
    const int64_t end =
        VisibleKeys(args, sequence.keys, past + begin + rows - 1).end;
    const int64_t keys = end - first;
    scores.resize(static_cast<size_t>(rows * keys));
    GemmArgs qk;
    qk.transpose_b = Transpose::kYes;
    qk.m = rows;
    qk.n = keys;
    qk.k = d;
    qk.a = sequence.q + begin * q_ld + head * d;
    qk.lda = q_ld;
    qk.b = sequence.k + first * kv_ld + kv_head * d;
    qk.ldb = kv_ld;
    qk.c = scores.data();
    qk.ldc = keys;
    ChooseGemm(qk).run(qk);
    for (int64_t r = 0; r < rows; ++r) {
      ScoresToProbabilities(args, head, first, keys,
                            VisibleKeys(args, sequence.keys, past + begin + r),
                            scores.data() + r * keys);
      if (received == nullptr) continue;
      for (int64_t c = 0; c < keys; ++c) {
        received[first + c] +=
            double{scores[static_cast<size_t>(r * keys + c)]};
      }
    }
    GemmArgs pv;
    pv.m = rows;
    pv.n = d;
    pv.k = keys;
    pv.a = scores.data();
    pv.lda = keys;
    pv.b = sequence.v + first * kv_ld + kv_head * d;
    pv.ldb = kv_ld;
    pv.c = sequence.out + begin * q_ld + head * d;
    pv.ldc = q_ld;
    ChooseGemm(pv).run(pv);
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

}  // namespace quantd::cpu
