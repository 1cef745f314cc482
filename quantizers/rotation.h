// A random orthogonal matrix Q of one size, in the form that rotations of whole
// networks need: rows times Q, and Q^T times columns.
//
//   Rotation q = *Rotation::Random(4096, RotationKind::kAny, seed);
//   Tensor reader = q.RotateRows(w, gains, ctx);     // W diag(gain) Q
//   Tensor writer = q.RotateColumns(w, ctx);         // Q^T W
//
// Computed in float64, rounded to float32 once.
//
// Immutable and thread-safe.
#ifndef QUANTD_QUANTIZERS_ROTATION_H_
#define QUANTD_QUANTIZERS_ROTATION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "kernels/hadamard.h"
#include "tensor/tensor.h"

namespace quantd {

enum class RotationKind {
  // A Hadamard matrix where one of that size is known, else orthogonal.
  kAny,
  // diag(random signs) H / sqrt(n) (Tseng et al., QuIP#, arXiv:2402.04396,
  // section 3; Ashkboos et al., QuaRot, arXiv:2404.00456): every entry has the
  // same magnitude, which bounds how much of an outlier one channel keeps.
  kHadamard,
  // The orthogonal factor of a matrix with independent normal entries, with a
  // positive diagonal in the other factor: uniform over all rotations
  // (Mezzadri, How to generate random matrices from the classical compact
  // groups, Notices of the AMS 54, 2007).
  kOrthogonal,
};

class Rotation {
 public:
  // A function of the arguments alone. InvalidArgument: kHadamard, and no
  // Hadamard matrix of this size is known. REQUIRES: size >= 1.
  static absl::StatusOr<Rotation> Random(int64_t size, RotationKind kind,
                                         uint64_t seed);
  // Whether Random() is OK, without making anything.
  static absl::Status Check(int64_t size, RotationKind kind);

  int64_t size() const { return size_; }
  bool is_hadamard() const { return hadamard_.has_value(); }
  // What an object holds: signs, or a dense matrix.
  static uint64_t SizeBytes(int64_t size, RotationKind kind);

  // x [rows, size], each row times Q, in place.
  void Apply(double* x, int64_t rows) const;

  // x diag(gains) Q; without gains x Q.
  Tensor RotateRows(const Tensor& x, absl::Span<const float> gains,
                    ExecutionContext& ctx) const;
  // Q^T x, x [size, cols].
  Tensor RotateColumns(const Tensor& x, ExecutionContext& ctx) const;

 private:
  Rotation() = default;

  int64_t size_ = 0;
  std::optional<HadamardTransform> hadamard_;
  std::vector<double> signs_;  // with a Hadamard matrix
  std::vector<double> dense_;  // without: Q, row-major
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_ROTATION_H_
