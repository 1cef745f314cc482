// Cholesky factor and triangular inverse of large float64 matrices, in place
// and on all threads of the context. In place because such a matrix is often
// the largest thing in memory: 254 MB for 5632 input channels.
//
// Matrices are square and row-major. Work is cut by the problem alone, so
// results do not depend on the number of threads.
#ifndef QUANTD_QUANTIZERS_TRIANGULAR_H_
#define QUANTD_QUANTIZERS_TRIANGULAR_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"

namespace quantd {

// Replaces the lower triangle of `a` [n, n] by L with L L^T = A; the strict
// upper triangle counts for nothing and stays as it is. False when A is not
// positive definite to working precision; `a` then holds rubbish. Cancelled
// when the context is.
absl::StatusOr<bool> CholeskyInPlace(int64_t n, double* a,
                                     ExecutionContext& ctx);

// Replaces the lower triangular L by its inverse. REQUIRES: the strict upper
// triangle is zero, the diagonal is not. Cancelled when the context is.
absl::Status InvertLowerInPlace(int64_t n, double* l, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_TRIANGULAR_H_
