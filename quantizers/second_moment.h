// The second moment of a layer's inputs, H = (2/n) sum over n sequences of
// X^T X (GPTQ convention: mean over sequences, not tokens), and the factor of
// its damped inverse that error compensation needs.
#ifndef QUANTD_QUANTIZERS_SECOND_MOMENT_H_
#define QUANTD_QUANTIZERS_SECOND_MOMENT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "tensor/tensor.h"

namespace quantd {

// A square float64 matrix, row-major.
struct SquareMatrix {
  int64_t n = 0;
  std::vector<double> values;

  explicit SquareMatrix(int64_t size = 0)
      : n(size), values(static_cast<size_t>(size * size), 0.0) {}
  double& at(int64_t r, int64_t c) {
    return values[static_cast<size_t>(r * n + c)];
  }
  double at(int64_t r, int64_t c) const {
    return values[static_cast<size_t>(r * n + c)];
  }
};

// Gathers H. Confined to one thread; the device's threads work inside.
class SecondMomentAccumulator {
 public:
  explicit SecondMomentAccumulator(int64_t cols) : gram_(cols) {}

  // `inputs` [tokens of `sequences` sequences, cols].
  void Add(const Tensor& inputs, int64_t sequences, ExecutionContext& ctx);

  int64_t sequences() const { return sequences_; }
  int64_t tokens() const { return tokens_; }

  // Zero when no sequence was added. Hands its memory over: called once, last.
  SquareMatrix Finish() &&;

 private:
  SquareMatrix gram_;
  int64_t sequences_ = 0;
  int64_t tokens_ = 0;
};

// H_jj of every j; empty for an empty matrix.
std::vector<double> Diagonal(const SquareMatrix& h);

// H in float32, [n, n].
Tensor ToFloat(const SquareMatrix& h);

// U upper triangular with U^T U = (H' + damping * mean(diag H') * I)^-1.
struct InverseFactor {
  SquareMatrix upper;
  double damping = 0;  // the share that made the matrix positive definite
  int retries = 0;     // steps of the ladder before that
};

// H' is H with rows and columns in the given order (row i of H' is row
// order[i] of H; empty: as they are) and ones in place of zeros on the
// diagonal, which belong to inputs that were never active.
//
// Tries `damping` first, then the fixed ladder damping + 0.0015 * i for
// i = 1..10, then 0.1 and 1, each from the unchanged H. Besides H and the
// result it needs no memory to speak of. Internal when all fail,
// InvalidArgument when H has a NaN or infinity, Cancelled when the context is.
absl::StatusOr<InverseFactor> FactorDampedInverse(
    const SquareMatrix& h, double damping, absl::Span<const int64_t> order,
    ExecutionContext& ctx);

// U_jj of that factor for channels in their own order.
absl::StatusOr<std::vector<double>> DampedFactorDiagonal(const SquareMatrix& h,
                                                         double damping,
                                                         ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_SECOND_MOMENT_H_
