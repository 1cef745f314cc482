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
// Thread-compatible: one operation at a time per device.
#ifndef QUANTD_KERNELS_DEVICE_H_
#define QUANTD_KERNELS_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "kernels/thread_pool.h"

namespace quantd {

// The type products are computed in. Sums are float32 in both cases.
enum class ComputeType {
  kF32,
  // Operands rounded to bfloat16 first; only on CPUs with bfloat16 dot
  // products, otherwise kF32 is used (Device::gemm_name() tells).
  kBF16,
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

// Causal multi-head attention over `sequences` sequences of `tokens` tokens
// that lie one after the other:
//   out = softmax(scale * q k^T + causal mask) v   per head,
// query head h reads key/value head h / (heads / kv_heads).
struct AttentionArgs {
  int64_t sequences = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;
  const float* q = nullptr;  // [sequences * tokens, heads * head_dim]
  const float* k = nullptr;  // [sequences * tokens, kv_heads * head_dim]
  const float* v = nullptr;  // as k
  float* out = nullptr;      // as q
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

class Device {
 public:
  virtual ~Device() = default;

  // Recorded with every result: "reference", "cpu".
  virtual absl::string_view name() const = 0;

  // Which implementation Gemm() picks for these arguments: "onednn_f32".
  virtual std::string gemm_name(const GemmArgs& args) const = 0;

  virtual ThreadPool& pool() = 0;

  virtual void Gemm(const GemmArgs& args) = 0;

  // gram[cols, cols] += x^T x, x [rows, cols]. Products in float32 over at
  // most kGramRows rows, summed in float64.
  static constexpr int64_t kGramRows = 512;
  virtual void AccumulateGram(const float* x, int64_t rows, int64_t cols,
                              double* gram) = 0;

  // y[r, :] = x[r, :] / sqrt(mean(x[r, :]^2) + eps) * weight. y may be x.
  virtual void RmsNorm(const float* x, const float* weight, float eps,
                       int64_t rows, int64_t cols, float* y) = 0;

  // Rotates pairs (i, i + head_dim / 2) of every head in place by the angle
  // of the row's position: x[row, head, :], position = row % tokens,
  // cos/sin [tokens, head_dim / 2].
  virtual void Rotary(float* x, int64_t rows, int64_t heads, int64_t head_dim,
                      int64_t tokens, const float* cos, const float* sin) = 0;

  virtual void CausalAttention(const AttentionArgs& args) = 0;

  // y = silu(gate) * up, silu(x) = x / (1 + exp(-x)). y may be gate or up.
  virtual void SiluMul(const float* gate, const float* up, int64_t count,
                       float* y) = 0;

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
};

// Plain loops, one thread.
std::unique_ptr<Device> NewReferenceDevice();

// The tuned CPU implementation. `threads` >= 1, or 0 for all cores.
std::unique_ptr<Device> NewCpuDevice(int threads);

// Whether this CPU has bfloat16 dot products.
bool CpuHasBF16();

}  // namespace quantd

#endif  // QUANTD_KERNELS_DEVICE_H_
