// Hadamard matrices: H of order n has entries +-1 and H H^T = n I. H / sqrt(n)
// is orthogonal, and x H takes n (log2(n / b) + b) additions, b the order of
// the base matrix below.
//
//   HadamardTransform h = *HadamardTransform::Make(5632);  // 44 x 128
//   h.Apply(x);           // x <- x H / sqrt(n)
//   h.ApplyTransposed(x); // and back
//
// Which matrix "the" Hadamard matrix of order n is (rotated weights are stored
// relative to it, so it never changes): H_n = B (x) S, the Kronecker product
//   H_n[i m + k, j m + l] = B[i, j] S[k, l],   m the order of S,
// where S of order m = n / b, a power of two, is Sylvester's,
//   S[k, l] = (-1)^popcount(k & l),
// and B is the first of these of the smallest order b = (odd part of n) * 2^t
// that there is:
//   b = 1: [1].
//   Paley's first construction, b - 1 = q a prime, q = 3 mod 4:
//     B = I + C,  C = [0 1; -1 Q]
//   Paley's second construction, b / 2 - 1 = q a prime, q = 1 mod 4:
//     B = C (x) [1 1; 1 -1] + I (x) [1 -1; -1 -1],  C = [0 1; 1 Q]
//   with Q[i, j] = chi(i - j), the Legendre symbol modulo q
// (Paley, On orthogonal matrices, J. Math. Phys. 12, 1933). Known this way are
// all orders of the form 2^k, 12 2^k, 20 2^k, 28 2^k, 36 2^k, 44 2^k, 76 2^k,
// 108 2^k, 140 2^k, 148 2^k and more. Not, for example, 688 and 11008: base
// orders end at kMaxBaseOrder, beyond which the product with B would cost as
// much as one with any matrix.
//
// Immutable and thread-safe.
#ifndef QUANTD_KERNELS_HADAMARD_H_
#define QUANTD_KERNELS_HADAMARD_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace quantd {

class HadamardTransform {
 public:
  // Nothing when no construction above gives `order`, or it is not in
  // 1..kMaxOrder.
  static std::optional<HadamardTransform> Make(int64_t order);
  static bool Known(int64_t order);
  static constexpr int64_t kMaxOrder = int64_t{1} << 24;
  static constexpr int64_t kMaxBaseOrder = 256;

  // The largest known order that divides n >= 1 and is a multiple of the
  // largest power of two in n.
  static int64_t LargestKnownDivisor(int64_t n);

  int64_t order() const { return base_order_ * sylvester_order_; }

  // x [order] <- x H / sqrt(order), or x H^T / sqrt(order).
  template <typename Real>
  void Apply(Real* x) const;
  template <typename Real>
  void ApplyTransposed(Real* x) const;

 private:
  HadamardTransform(int64_t base_order, int64_t sylvester_order);

  template <typename Real>
  void Run(Real* x, bool transposed) const;

  int64_t base_order_ = 1;
  int64_t sylvester_order_ = 1;
  std::vector<int8_t> base_;  // [base order, base order], +1 and -1
};

}  // namespace quantd

#endif  // QUANTD_KERNELS_HADAMARD_H_
