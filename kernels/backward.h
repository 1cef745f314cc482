// Gradients of the operations of kernels/device.h, for reverse-mode
// differentiation (tensor/gradient_tape.h). `dz` is the gradient of one scalar
// with respect to z. Gradients of activations are overwritten, those of
// parameters, in float64, are added to: a parameter meets many rows. Buffers of
// one call do not overlap.
//
// Results depend on the arguments and the instruction set, never on the number
// of threads.
#ifndef QUANTD_KERNELS_BACKWARD_H_
#define QUANTD_KERNELS_BACKWARD_H_

#include <cstdint>

namespace quantd {

enum class Activation;
struct AttentionArgs;

// RmsNorm and LayerNorm.
struct NormBackwardArgs {
  int64_t rows = 0;
  int64_t cols = 0;
  float eps = 0.0f;
  const float* x = nullptr;       // [rows, cols]
  const float* weight = nullptr;  // [cols], or null: ones
  const float* dy = nullptr;      // [rows, cols]
  float* dx = nullptr;            // [rows, cols]
  double* dweight = nullptr;      // [cols], or null: not wanted
  double* dbias = nullptr;        // [cols], or null: not wanted
};

// Of one sequence of an attention call.
struct AttentionGradients {
  const float* dout = nullptr;  // as q
  float* dq = nullptr;          // as q
  float* dk = nullptr;          // as k
  float* dv = nullptr;          // as k
};

struct CausalConvBackwardArgs {
  int64_t tokens = 0;
  int64_t channels = 0;
  int64_t width = 0;
  const float* x = nullptr;       // [tokens, channels], no history before it
  const float* weight = nullptr;  // [channels, width]
  const float* dy = nullptr;      // [tokens, channels]
  float* dx = nullptr;            // [tokens, channels]
  double* dweight = nullptr;      // [channels, width], or null
  double* dbias = nullptr;        // [channels], or null
};

// From a state of zeros.
struct SelectiveScanBackwardArgs {
  int64_t tokens = 0;
  int64_t channels = 0;
  int64_t states = 0;
  const float* u = nullptr;  // as in SelectiveScanArgs
  const float* dt = nullptr;
  const float* a = nullptr;
  const float* b = nullptr;
  const float* c = nullptr;
  const float* skip = nullptr;
  const float* dy = nullptr;  // [tokens, channels]
  float* du = nullptr;        // [tokens, channels]
  float* ddt = nullptr;       // [tokens, channels]
  float* db = nullptr;        // [tokens, states]
  float* dc = nullptr;        // [tokens, states]
  double* da = nullptr;       // [channels, states]
  double* dskip = nullptr;    // [channels]
};

// What a Device offers for differentiation.
class BackwardOperations {
 public:
  virtual ~BackwardOperations() = default;

  // With r = 1 / sqrt(mean(x^2) + eps) and g = dy * weight, per row:
  //   dx = r (g - x r^2 mean(g x)),  dweight += dy x r.  dbias is not read.
  virtual void RmsNormBackward(const NormBackwardArgs& args) = 0;

  // With n = (x - mean) r and g = dy * weight, per row:
  //   dx = r (g - mean(g) - n mean(g n)),  dweight += dy n,  dbias += dy.
  virtual void LayerNormBackward(const NormBackwardArgs& args) = 0;

  // `gradients[i]` belongs to `args.sequences[i]`, which has no past; its
  // `out` and `received` are not read. The probabilities P are computed again:
  //   dv = P^T dout,  dP = dout v^T,  ds = P * (dP - rowsum(P * dP)),
  // through the soft cap c: ds *= 1 - (s / c)^2;
  //   dq = scale ds k,  dk = scale ds^T q.
  virtual void AttentionBackward(const AttentionArgs& args,
                                 const AttentionGradients* gradients) = 0;

  // dx = activation'(x) * dy. At a kink the derivative from the left, but that
  // of kRelu6 and kGeluClipped outside of their range is 0.
  virtual void ActivateBackward(Activation activation, const float* x,
                                const float* dy, int64_t count, float* dx) = 0;

  // y = cap * tanh(x / cap): dx = dy (1 - (y / cap)^2).
  virtual void SoftcapBackward(float cap, const float* y, const float* dy,
                               int64_t count, float* dx) = 0;

  // z = x * y.
  virtual void Multiply(const float* x, const float* y, int64_t count,
                        float* z) = 0;

  // sums[c] += sum_r x[r, c].
  virtual void SumRows(const float* x, int64_t rows, int64_t cols,
                       double* sums) = 0;

  // Of NegativeLogLikelihood: dlogits[r, c] =
  //   dnll[r] (softmax(logits[r])[c] - (c == targets[r])).
  virtual void NegativeLogLikelihoodBackward(const float* logits,
                                             const int32_t* targets,
                                             const double* dnll, int64_t rows,
                                             int64_t cols, float* dlogits) = 0;

  // kl[r] = sum_c p_c (log p_c - log q_c), in nats, with p =
  // softmax(teacher[r] / temperature) and q = softmax(student[r] /
  // temperature).
  virtual void KlDivergence(const float* teacher, const float* student,
                            float temperature, int64_t rows, int64_t cols,
                            double* kl) = 0;

  // dstudent[r, c] = dkl[r] (q_c - p_c) / temperature.
  virtual void KlDivergenceBackward(const float* teacher, const float* student,
                                    float temperature, const double* dkl,
                                    int64_t rows, int64_t cols,
                                    float* dstudent) = 0;

  virtual void CausalConvBackward(const CausalConvBackwardArgs& args) = 0;

  virtual void SelectiveScanBackward(const SelectiveScanBackwardArgs& args) = 0;
};

}  // namespace quantd

#endif  // QUANTD_KERNELS_BACKWARD_H_
