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

void OneHead(const AttentionArgs& args, int64_t sequence, int64_t head,
             std::vector<float>& scores) {
  const int64_t d = args.head_dim;
  const int64_t q_ld = args.heads * d;
  const int64_t kv_ld = args.kv_heads * d;
  const int64_t kv_head = head / (args.heads / args.kv_heads);
  const int64_t row0 = sequence * args.tokens;
  const float* k = args.k + row0 * kv_ld + kv_head * d;
  const float* v = args.v + row0 * kv_ld + kv_head * d;
  for (int64_t begin = 0; begin < args.tokens; begin += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, args.tokens - begin);
    const int64_t keys = begin + rows;
    scores.resize(static_cast<size_t>(rows * keys));
    GemmArgs qk;
    qk.transpose_b = Transpose::kYes;
    qk.m = rows;
    qk.n = keys;
    qk.k = d;
    qk.a = args.q + (row0 + begin) * q_ld + head * d;
    qk.lda = q_ld;
    qk.b = k;
    qk.ldb = kv_ld;
    qk.c = scores.data();
    qk.ldc = keys;
    ChooseGemm(qk).run(qk);
    CausalSoftmaxRows(scores.data(), rows, keys, keys, begin, args.scale);
    GemmArgs pv;
    pv.m = rows;
    pv.n = d;
    pv.k = keys;
    pv.a = scores.data();
    pv.lda = keys;
    pv.b = v;
    pv.ldb = kv_ld;
    pv.c = args.out + (row0 + begin) * q_ld + head * d;
    pv.ldc = q_ld;
    ChooseGemm(pv).run(pv);
  }
}

}  // namespace

void CausalAttention(const AttentionArgs& args, ThreadPool& pool) {
  pool.ParallelFor(args.sequences * args.heads, [&](int64_t index) {
    thread_local std::vector<float> scores;
    OneHead(args, index / args.heads, index % args.heads, scores);
  });
}

}  // namespace quantd::cpu
