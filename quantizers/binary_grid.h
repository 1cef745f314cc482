// The grid of two values, mean - alpha and mean + alpha, of one group of
// weights.
//
//   mean = average of w (or 0),  alpha = average of |w - mean|
//   q(w) = mean + alpha * sign(w - mean),  sign(0) = +1
//
// Given the mean and the signs, this alpha minimises ||w - q(w)||^2. Sources:
// PB-LLM (arXiv:2310.00034), section 3.3 and its reference code (low_quant.py);
// 1-bit groups of SliM-LLM (arXiv:2405.14917).
//
// Both parameters are rounded to binary16 before anything is computed with
// them, because that is how they are stored.
//
// Free functions, thread-safe. Instantiated for float and double.
#ifndef QUANTD_QUANTIZERS_BINARY_GRID_H_
#define QUANTD_QUANTIZERS_BINARY_GRID_H_

#include "absl/types/span.h"

namespace quantd {

// Where the two values lie around.
enum class BinaryCenter { kMean, kZero };

// Both exact in binary16; alpha >= 0.
struct BinaryGrid {
  float mean = 0.0f;
  float alpha = 0.0f;
};

// `importance` weighs the averages, and leaves out weights where it is 0;
// empty: all weights alike. Without weights both parameters are 0.
template <typename Real>
BinaryGrid FitBinaryGrid(absl::Span<const Real> weights,
                         absl::Span<const Real> importance,
                         BinaryCenter center);

// 0 or 1.
template <typename Real>
inline int EncodeBinary(Real w, const BinaryGrid& grid) {
  return w >= static_cast<Real>(grid.mean) ? 1 : 0;
}

template <typename Real>
inline Real DecodeBinary(int code, const BinaryGrid& grid) {
  // In float32, as the stored layer is decoded.
  return static_cast<Real>(code != 0 ? grid.mean + grid.alpha
                                     : grid.mean - grid.alpha);
}

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BINARY_GRID_H_
