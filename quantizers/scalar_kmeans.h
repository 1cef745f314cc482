// Exact weighted k-means of numbers: the k values that minimise
//
//   sum_i w_i min_j (x_i - c_j)^2.
//
// On a line an optimal clustering cuts the sorted values into runs, so dynamic
// programming finds the optimum: cost[q][m] = min_j cost[q-1][j] + run(j, m).
// The best j grows with m, which brings a layer q down to O(n log n) by divide
// and conquer (Wang and Song, Ckmeans.1d.dp, The R Journal 3(2), 2011;
// Gronlund et al., arXiv:1701.07204, section 2.2). O(k n log n) time, O(k n)
// memory.
//
// Unlike Lloyd's iteration it needs no start and no seed.
#ifndef QUANTD_QUANTIZERS_SCALAR_KMEANS_H_
#define QUANTD_QUANTIZERS_SCALAR_KMEANS_H_

#include <vector>

#include "absl/types/span.h"

namespace quantd {

struct ScalarKMeans {
  // Ascending and distinct: k of them, or as many as there are distinct values
  // of positive weight where those are fewer. Empty when there are no values.
  std::vector<double> centroids;
  double objective = 0;
};

// `weights` are not negative; none, or all zero, means all one. Values of zero
// weight take no part. REQUIRES: k >= 1; finite values; as many weights as
// values, or none.
ScalarKMeans FitScalarKMeans(absl::Span<const double> values,
                             absl::Span<const double> weights, int k);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_SCALAR_KMEANS_H_
