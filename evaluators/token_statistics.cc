#include "evaluators/token_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace quantd {
namespace {

constexpr double kPercents[] = {0.1, 1, 5, 10, 25, 75, 90, 95, 99, 99.9};

}  // namespace

v1::Estimate EstimateMean(absl::Span<const WindowSums> windows) {
  uint64_t tokens = 0;
  double sum = 0;
  double squares = 0;
  for (const WindowSums& window : windows) {
    tokens += window.count;
    sum += window.sum;
    squares += window.sum_of_squares;
  }
  const double n = static_cast<double>(tokens);
  const double m = sum / n;
  v1::Estimate estimate;
  estimate.set_mean(m);
  if (tokens > 1) {
    // Rounding may leave a tiny negative variance for constant values.
    estimate.set_error_iid(
        std::sqrt(std::max(0.0, squares / n - m * m) / (n - 1)));
  }
  if (windows.size() > 1) {
    double clusters = 0;
    for (const WindowSums& window : windows) {
      const double d = window.sum - m * static_cast<double>(window.count);
      clusters += d * d;
    }
    const double w = static_cast<double>(windows.size());
    estimate.set_error_clustered(std::sqrt(clusters) / n *
                                 std::sqrt(w / (w - 1)));
  }
  return estimate;
}

double PercentileOf(absl::Span<const double> sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), sorted.size() - 1);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

v1::Distribution DistributionOf(const v1::Estimate& mean,
                                std::vector<double> values) {
  std::sort(values.begin(), values.end());
  v1::Distribution distribution;
  *distribution.mutable_mean() = mean;
  distribution.set_minimum(values.front());
  distribution.set_median(PercentileOf(values, 0.5));
  distribution.set_maximum(values.back());
  for (const double percent : kPercents) {
    v1::Percentile& out = *distribution.add_percentiles();
    out.set_percent(percent);
    out.set_value(PercentileOf(values, percent / 100));
  }
  return distribution;
}

}  // namespace quantd
