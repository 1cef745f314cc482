// Device: the numerical operations quantd runs on, over raw buffers.
//
// All matrices are dense and row-major; a leading dimension (`ld*`) is the
// distance between rows in elements. Buffers of one call do not overlap unless
// said otherwise. Results depend on the arguments and on the machine's
// instruction set, never on the number of threads.
//
// Implementations: the reference device (kernels/reference, plain loops with
// double accumulators, the oracle of the tests) and the CPU device
// (kernels/cpu: oneDNN for products, Highway for the rest). An operation of
// the CPU device is a list of implementations, best first and reference last;
// the first that says it can runs (kernels/cpu/gemm.cc).
//
// Their gradients are in kernels/backward.h.
//
// Thread-compatible: one operation at a time per device.
#ifndef QUANTD_KERNELS_DEVICE_H_
#define QUANTD_KERNELS_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "kernels/backward.h"
#include "kernels/thread_pool.h"

namespace quantd {

// The type products are computed in. Sums are float32 in all cases.
enum class ComputeType {
  kF32,
  // Operands rounded to bfloat16 first; only on CPUs with bfloat16 dot
  // products, otherwise kF32 is used (Device::gemm_name() tells).
  kBF16,
  // Float32, and every element of a product is summed in the order of its terms
  // (kernels/cpu/strict_gemm.h): what a network says of a token does not depend
  // on what runs beside it, bit for bit. Slower.
  kF32Strict,
};

enum class Transpose : bool { kNo, kYes };

// c[m, n] = op(a) * op(b) + beta * c, where op(a) is [m, k], op(b) is [k, n].
struct GemmArgs {
  Transpose transpose_a = Transpose::kNo;  // a stored as [k, m]
  Transpose transpose_b = Transpose::kNo;  // b stored as [n, k]
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  float beta = 0.0f;  // 0: c is not read, may hold NaN
  float* c = nullptr;
  int64_t ldc = 0;
  ComputeType compute = ComputeType::kF32;
};

// One sequence of an attention call. Query t is the (keys - queries + t)-th
// token of the sequence.
struct AttentionSequence {
  int64_t queries = 0;
  int64_t keys = 0;          // >= queries when causal
  const float* q = nullptr;  // [queries, heads * head_dim]
  const float* k = nullptr;  // [keys, kv_heads * head_dim]
  const float* v = nullptr;  // as k
  float* out = nullptr;      // as q
  // The attention each key receives: per head the sum of its probabilities
  // over all queries. Null: not wanted.
  double* received = nullptr;  // [heads, keys], overwritten
};

// Multi-head attention, every sequence on its own:
//   s = scale * q k^T;  s = softcap * tanh(s / softcap) where softcap > 0;
//   s += key_bias[head, key];  out = softmax(s over the visible keys) v.
// Query head h reads key/value head h / (heads / kv_heads).
struct AttentionArgs {
  const AttentionSequence* sequences = nullptr;
  int64_t sequence_count = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;    // > 0
  bool causal = true;    // false: every query sees every key
  int64_t window = 0;    // > 0: only the last `window` keys up to the query's
  float softcap = 0.0f;  // 0: none
  const float* key_bias = nullptr;  // [heads, key_bias_ld] or null
  int64_t key_bias_ld = 0;          // >= the largest `keys`
  // kF32 or kF32Strict.
  ComputeType compute = ComputeType::kF32;
};

// Rotates pairs of every head in place by an angle of the row's position.
// Pair i is (i, i + rotary_dim / 2), or (2 i, 2 i + 1) when interleaved; the
// head's other head_dim - rotary_dim elements stay.
struct RotaryArgs {
  float* x = nullptr;  // [rows, heads * head_dim]
  int64_t rows = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t rotary_dim = 0;
  bool interleaved = false;
  const int32_t* positions = nullptr;  // [rows]
  const float* cos = nullptr;          // [largest position + 1, rotary_dim / 2]
  const float* sin = nullptr;
};

// Elementwise non-linearities of feed-forward layers.
enum class Activation {
  kIdentity,
  kRelu,
  kReluSquared,  // relu(x)^2
  kSilu,         // x / (1 + exp(-x))
  kGelu,         // x * Phi(x), by erf
  kGeluTanh,     // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kQuickGelu,    // x / (1 + exp(-1.702 x))
  kTanh,
  kSigmoid,
  kRelu6,        // min(max(x, 0), 6)
  kLeakyRelu,    // x, 0.01 x below zero
  kMish,         // x tanh(log(1 + exp(x)))
  kGeluClipped,  // kGelu cut off at +-10
  kLaplace,      // Phi((x - 0.707107) / 0.282095)
};

// Depthwise causal convolution over one sequence, then nothing else:
//   y[t, c] = bias[c] + sum_j weight[c, j] * x[t - width + 1 + j, c],
// where rows before the sequence come from `history`.
struct CausalConvArgs {
  int64_t tokens = 0;
  int64_t channels = 0;
  int64_t width = 0;
  const float* x = nullptr;       // [tokens, channels]
  const float* weight = nullptr;  // [channels, width]
  const float* bias = nullptr;    // [channels] or null
  float* history = nullptr;  // [width - 1, channels], replaced by the last rows
  float* y = nullptr;        // [tokens, channels]
};

// The selective state space recurrence of one sequence (Gu and Dao 2023,
// arXiv:2312.00752, algorithm 2), per channel c and state n:
//   h[c, n] = exp(dt[t, c] a[c, n]) h[c, n] + dt[t, c] b[t, n] u[t, c]
//   y[t, c] = sum_n c[t, n] h[c, n] + skip[c] u[t, c]
struct SelectiveScanArgs {
  int64_t tokens = 0;
  int64_t channels = 0;
  int64_t states = 0;
  const float* u = nullptr;     // [tokens, channels]
  const float* dt = nullptr;    // [tokens, channels]
  const float* a = nullptr;     // [channels, states]
  const float* b = nullptr;     // [tokens, states]
  const float* c = nullptr;     // [tokens, states]
  const float* skip = nullptr;  // [channels]
  float* h = nullptr;           // [channels, states], read and replaced
  float* y = nullptr;           // [tokens, channels]
};

// Codes of `bits` bits, little-endian bit stream per row: code j of a row
// occupies bits [j * bits, (j + 1) * bits) of the row's ceil(cols * bits / 8)
// bytes. w[r, c] = scales[r, g] * (code - zeros[r, g]) with g = group_of[c],
// or c / group_size where group_of is null.
struct PackedIntArgs {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;
  int64_t group_size = 0;
  int64_t groups = 0;                 // per row
  const uint8_t* codes = nullptr;     // [rows, row_bytes]
  const float* scales = nullptr;      // [rows, groups]
  const uint8_t* zeros = nullptr;     // [rows, groups]
  const int32_t* group_of = nullptr;  // [cols] or null
  float* out = nullptr;               // [rows, cols]
};

// For every vector the centroid at the smallest squared distance
//   sum_t weights[i, t] (vectors[i, t] - centroids[t, j])^2,
// summed in float32 in the order of t; of equals the lowest index. Centroids
// lie transposed, so that neighbouring ones fill a register. A distance that
// is NaN never wins.
struct NearestCentroidArgs {
  int64_t count = 0;
  int64_t dimension = 0;
  int64_t centroid_count = 0;        // >= 1
  const float* vectors = nullptr;    // [count, dimension]
  const float* weights = nullptr;    // [count, dimension], or null: all ones
  const float* centroids = nullptr;  // [dimension, centroid_count]
  int32_t* nearest = nullptr;        // [count]
};

class Device : public BackwardOperations {
 public:
  // Recorded with every result: "reference", "cpu".
  virtual absl::string_view name() const = 0;

  // Which implementation Gemm() picks for these arguments: "onednn_f32".
  virtual std::string gemm_name(const GemmArgs& args) const = 0;

  virtual ThreadPool& pool() = 0;

  virtual void Gemm(const GemmArgs& args) = 0;

  // gram[cols, cols] += x^T x, x [rows, cols]. Products in float32 over at
  // most kGramRows rows, summed in float64. Needs scratch for at most
  // max(kGramScratch, 256 * cols) floats while it runs.
  static constexpr int64_t kGramRows = 512;
  static constexpr int64_t kGramScratch = int64_t{1} << 24;
  virtual void AccumulateGram(const float* x, int64_t rows, int64_t cols,
                              double* gram) = 0;

  // y[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight. y may be x.
  virtual void RmsNorm(const float* x, const float* weight, float eps,
                       int64_t rows, int64_t cols, float* y) = 0;

  // y[r, :] = (x[r, :] - mean) / sqrt(variance + eps) * weight + bias, with
  // the population variance; weight or bias may be null. y may be x.
  virtual void LayerNorm(const float* x, const float* weight, const float* bias,
                         float eps, int64_t rows, int64_t cols, float* y) = 0;

  virtual void Rotary(const RotaryArgs& args) = 0;

  virtual void Attention(const AttentionArgs& args) = 0;

  // y = activation(x). y may be x.
  virtual void Activate(Activation activation, const float* x, int64_t count,
                        float* y) = 0;

  // y = activation(gate) * up. y may be gate or up.
  virtual void ActivateMul(Activation activation, const float* gate,
                           const float* up, int64_t count, float* y) = 0;

  // x = cap * tanh(x / cap).
  virtual void Softcap(float cap, int64_t count, float* x) = 0;

  virtual void CausalConv(const CausalConvArgs& args) = 0;

  virtual void SelectiveScan(const SelectiveScanArgs& args) = 0;

  // y += x.
  virtual void Add(const float* x, int64_t count, float* y) = 0;

  // Adds `bias` [cols] to every row of y.
  virtual void AddBias(const float* bias, int64_t rows, int64_t cols,
                       float* y) = 0;

  // nll[r] = log(sum_c exp(logits[r, c])) - logits[r, targets[r]], natural
  // log, summed in float64. NaN logits give NaN.
  virtual void NegativeLogLikelihood(const float* logits,
                                     const int32_t* targets, int64_t rows,
                                     int64_t cols, double* nll) = 0;

  // Decodes packed integer codes to float32.
  virtual void DecodePackedInt(const PackedIntArgs& args) = 0;

  // Runs on the calling thread and may be called inside a loop of pool(): a
  // search is part of larger work that its caller cuts.
  virtual void FindNearestCentroids(const NearestCentroidArgs& args) const = 0;
};

// Plain loops, one thread.
std::unique_ptr<Device> NewReferenceDevice();

// The tuned CPU implementation. `threads` >= 1, or 0 for all cores.
std::unique_ptr<Device> NewCpuDevice(int threads);

// Whether this CPU has bfloat16 dot products.
bool CpuHasBF16();

}  // namespace quantd

#endif  // QUANTD_KERNELS_DEVICE_H_
