// Weighted k-means of short vectors (Lloyd's iteration from k-means++ starts):
//
//   minimise sum_i sum_t w_it (x_it - c_j(i),t)^2,  j(i) = nearest centroid.
//
// The objective never rises from one iteration to the next; centroids that no
// vector chose move to the vectors that are worst off. The result depends on
// the problem and the seed, not on the number of threads.
//
// k-means++: Arthur and Vassilvitskii, SODA 2007, with sample weights.
#ifndef QUANTD_QUANTIZERS_VECTOR_KMEANS_H_
#define QUANTD_QUANTIZERS_VECTOR_KMEANS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"

namespace quantd {

struct VectorKMeansProblem {
  int64_t count = 0;               // >= 1
  int64_t dimension = 0;           // >= 1
  const float* vectors = nullptr;  // [count, dimension], finite
  // One per element, not negative; null: all one. When all are zero, all count
  // as one.
  const float* weights = nullptr;  // [count, dimension]
};

struct VectorKMeansOptions {
  int64_t k = 256;
  int max_iterations = 100;
  // Stops when an iteration lowers the objective by less than this share.
  double tolerance = 1e-5;
  // Starts; the result of the lowest objective is kept, the first of equals.
  int restarts = 1;
  uint64_t seed = 0;
};

struct VectorKMeans {
  std::vector<float> centroids;     // [k, dimension]
  std::vector<int32_t> assignment;  // [count]
  double objective = 0;
  // Objective after each assignment of the start that was kept.
  std::vector<double> history;
};

// With fewer distinct vectors than k, centroids repeat. Cancelled when the
// context is.
absl::StatusOr<VectorKMeans> FitVectorKMeans(const VectorKMeansProblem& problem,
                                             const VectorKMeansOptions& options,
                                             ExecutionContext& ctx);

// Memory for sums of centroids while it runs, beside 12 bytes a vector.
int64_t KMeansSumBytes(int64_t count, int64_t dimension, int64_t k);

// nearest[i] of centroids [k, dimension], as FitVectorKMeans() assigns, on all
// threads of the context.
void AssignToNearest(const VectorKMeansProblem& problem, int64_t k,
                     const float* centroids, int32_t* nearest,
                     ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_VECTOR_KMEANS_H_
