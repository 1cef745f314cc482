#include "quantizers/deviation_weights.h"

#include <algorithm>
#include <cmath>

namespace quantd {

double RelativeEntropy(const Tensor& logits, int64_t row) {
  const float* const x = logits.row(row);
  const int64_t n = logits.cols();
  const double top = *std::max_element(x, x + n);
  double sum = 0, weighted = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double shifted = x[i] - top;
    const double e = std::exp(shifted);
    if (e == 0) continue;  // or 0 times -infinity
    sum += e;
    weighted += e * shifted;
  }
  return (std::log(sum) - weighted / sum) / std::log(static_cast<double>(n));
}

double DeviationWeights::Of(const Tensor& logits, int64_t row) const {
  if (weight == 0) return 1;
  return 1 + weight * std::pow(RelativeEntropy(logits, row), power);
}

}  // namespace quantd
