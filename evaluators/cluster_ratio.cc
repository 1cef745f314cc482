#include "evaluators/cluster_ratio.h"

#include <cmath>
#include <cstddef>
#include <numeric>

namespace quantd {

ClusterRatio RatioOfSums(absl::Span<const double> numerators,
                         absl::Span<const double> denominators) {
  const double total =
      std::accumulate(denominators.begin(), denominators.end(), 0.0);
  ClusterRatio ratio;
  ratio.value =
      std::accumulate(numerators.begin(), numerators.end(), 0.0) / total;
  if (numerators.size() < 2) return ratio;
  double squares = 0;
  for (size_t w = 0; w < numerators.size(); ++w) {
    const double d = numerators[w] - ratio.value * denominators[w];
    squares += d * d;
  }
  const double clusters = static_cast<double>(numerators.size());
  ratio.error =
      std::sqrt(squares) / total * std::sqrt(clusters / (clusters - 1));
  return ratio;
}

}  // namespace quantd
