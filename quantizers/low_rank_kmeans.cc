#include "quantizers/low_rank_kmeans.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "quantizers/thin_svd.h"
#include "tensor/tensor.h"

namespace quantd {

absl::StatusOr<LowRankKMeans> FitLowRankKMeans(
    const VectorKMeansProblem& problem, int64_t rank,
    const VectorKMeansOptions& options, ExecutionContext& ctx) {
  const int64_t n = problem.count;
  const int64_t v = problem.dimension;
  std::vector<double> weights(static_cast<size_t>(n), 1.0);
  if (problem.weights != nullptr) {
    double total = 0;
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t t = 0; t < v; ++t) sum += problem.weights[i * v + t];
      weights[static_cast<size_t>(i)] = sum / static_cast<double>(v);
      total += sum;
    }
    if (total == 0) weights.assign(weights.size(), 1.0);
  }
  // The directions of the weighted vectors.
  Tensor scaled = Tensor::Uninitialized({n, v});
  for (int64_t i = 0; i < n; ++i) {
    const double root = std::sqrt(weights[static_cast<size_t>(i)]);
    for (int64_t t = 0; t < v; ++t) {
      scaled.row(i)[t] =
          static_cast<float>(root * double{problem.vectors[i * v + t]});
    }
  }
  ASSIGN_OR_RETURN(const ThinSvd svd,
                   LeadingSvd(scaled, rank, ThinSvdOptions(), ctx));
  LowRankKMeans result;
  std::vector<float> projected(static_cast<size_t>(n * rank));
  std::vector<float> projected_weights(projected.size());
  for (int64_t i = 0; i < n; ++i) {
    const float* const a = problem.vectors + i * v;
    const double weight = weights[static_cast<size_t>(i)];
    double left = 0;
    for (int64_t t = 0; t < v; ++t) left += double{a[t]} * a[t];
    for (int64_t d = 0; d < rank; ++d) {
      double z = 0;
      for (int64_t t = 0; t < v; ++t) {
        z += a[t] * svd.right[static_cast<size_t>(d * v + t)];
      }
      left -= z * z;
      projected[static_cast<size_t>(i * rank + d)] = static_cast<float>(z);
      projected_weights[static_cast<size_t>(i * rank + d)] =
          static_cast<float>(weight);
    }
    result.projection_error += weight * left;
  }
  VectorKMeansProblem inner;
  inner.count = n;
  inner.dimension = rank;
  inner.vectors = projected.data();
  inner.weights = projected_weights.data();
  ASSIGN_OR_RETURN(result.fitted, FitVectorKMeans(inner, options, ctx));
  const std::vector<float> c = std::move(result.fitted.centroids);
  result.fitted.centroids.assign(static_cast<size_t>(options.k * v), 0.0f);
  for (int64_t j = 0; j < options.k; ++j) {
    for (int64_t t = 0; t < v; ++t) {
      double sum = 0;
      for (int64_t d = 0; d < rank; ++d) {
        sum += c[static_cast<size_t>(j * rank + d)] *
               svd.right[static_cast<size_t>(d * v + t)];
      }
      result.fitted.centroids[static_cast<size_t>(j * v + t)] =
          static_cast<float>(sum);
    }
  }
  return result;
}

}  // namespace quantd
