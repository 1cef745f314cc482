// Codebooks of low rank: k-means in the principal directions of the vectors,
//
//   A ~ Z P,  Z = A P^T [count, rank],  P [rank, dimension] orthonormal,
//   codebook = C P,  C [k, rank] the centroids of Z,
//
// of which LR2VQ learns C and P (Zhu et al., arXiv:2211.11397). With equal
// weights the error of the codebook is the sum of two that are known apart:
// what P leaves of A, and what C leaves of Z, because the residuals are
// orthogonal. The nearest entry of C P is the nearest centroid of Z.
#ifndef QUANTD_QUANTIZERS_LOW_RANK_KMEANS_H_
#define QUANTD_QUANTIZERS_LOW_RANK_KMEANS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "quantizers/vector_kmeans.h"

namespace quantd {

struct LowRankKMeans {
  // Centroids [k, dimension] = C P; objective and history are those in `rank`
  // dimensions.
  VectorKMeans fitted;
  // sum over vectors of weight |a - a P^T P|^2.
  double projection_error = 0;
};

// A vector counts by the mean of its elements' weights. REQUIRES: 1 <= rank <=
// the dimension and the count. Errors as FitVectorKMeans() and LeadingSvd()
// have them.
absl::StatusOr<LowRankKMeans> FitLowRankKMeans(
    const VectorKMeansProblem& problem, int64_t rank,
    const VectorKMeansOptions& options, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LOW_RANK_KMEANS_H_
