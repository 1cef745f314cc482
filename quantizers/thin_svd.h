// The leading part of a singular value decomposition,
//
//   A ~ U diag(sigma) V^T,   U [rows, rank], V^T [rank, cols],
//
// sigma descending, columns of U and rows of V^T orthonormal (zero where the
// rank of A ends). For an exact
// decomposition ||A - U_m S_m V_m^T||_F^2 = sum_{i > m} sigma_i^2, the least
// error of any matrix of rank m (Eckart and Young 1936).
//
// Matrices whose smaller extent is at most `exact_extent` are decomposed
// exactly in float64. Larger ones by a randomised range finder with subspace
// iteration: Halko, Martinsson, Tropp, "Finding structure with randomness",
// SIAM Review 53 (2011), arXiv:0909.4061, algorithms 4.4 and 5.1, with products
// in float32 and orthonormalisation in float64. The test matrix comes from a
// fixed seed and products do not depend on the threads, so the result is the
// same every time.
//
// The signs are fixed: the element of largest size of every column of U is
// positive.
//
// Free function, thread-safe.
#ifndef QUANTD_QUANTIZERS_THIN_SVD_H_
#define QUANTD_QUANTIZERS_THIN_SVD_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "tensor/tensor.h"

namespace quantd {

struct ThinSvdOptions {
  int64_t exact_extent = 512;
  // Of the range finder: columns beyond the rank, and products with A A^T. The
  // residue of quantization has a nearly flat spectrum, where a subspace
  // converges slowly; with these the energy found is within 1 % of the best on
  // Gaussian noise.
  int64_t oversampling = 24;
  int power_iterations = 6;
  uint64_t seed = 0x5EED;
};

struct ThinSvd {
  int64_t rank = 0;
  std::vector<double> left;             // U [rows, rank]
  std::vector<double> singular_values;  // [rank]
  std::vector<double> right;            // V^T [rank, cols]
};

// REQUIRES: 1 <= rank <= min(rows, cols). InvalidArgument when A has a NaN or
// infinity; Cancelled when the context is.
absl::StatusOr<ThinSvd> LeadingSvd(const Tensor& a, int64_t rank,
                                   const ThinSvdOptions& options,
                                   ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_THIN_SVD_H_
