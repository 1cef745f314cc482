#include "quantizers/scalar_kmeans.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace quantd {
namespace {

struct WeightedValue {
  double value;
  double weight;
};

// The distinct values of positive weight, ascending.
std::vector<WeightedValue> DistinctValues(absl::Span<const double> values,
                                          absl::Span<const double> weights) {
  const bool weighted = std::any_of(weights.begin(), weights.end(),
                                    [](double w) { return w > 0; });
  std::vector<WeightedValue> items;
  items.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = weighted ? weights[i] : 1.0;
    if (weight > 0) items.push_back({values[i], weight});
  }
  // Stable, so that the weights of equal values are added in a fixed order.
  std::stable_sort(items.begin(), items.end(),
                   [](const WeightedValue& a, const WeightedValue& b) {
                     return a.value < b.value;
                   });
  size_t kept = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (kept > 0 && items[kept - 1].value == items[i].value) {
      items[kept - 1].weight += items[i].weight;
    } else {
      items[kept++] = items[i];
    }
  }
  items.resize(kept);
  return items;
}

// Weighted mean and squared deviation of runs of sorted values, in O(1).
class RunSums {
 public:
  explicit RunSums(const std::vector<WeightedValue>& items) {
    double weight = 0, sum = 0;
    for (const WeightedValue& item : items) {
      weight += item.weight;
      sum += item.weight * item.value;
    }
    // Around the mean: differences of sums of squares would otherwise cancel.
    center_ = sum / weight;
    weights_.assign(1, 0);
    sums_.assign(1, 0);
    squares_.assign(1, 0);
    for (const WeightedValue& item : items) {
      const double x = item.value - center_;
      weights_.push_back(weights_.back() + item.weight);
      sums_.push_back(sums_.back() + item.weight * x);
      squares_.push_back(squares_.back() + item.weight * x * x);
    }
  }

  // Of items [begin, end), begin < end.
  double Mean(size_t begin, size_t end) const {
    return center_ +
           (sums_[end] - sums_[begin]) / (weights_[end] - weights_[begin]);
  }
  double Cost(size_t begin, size_t end) const {
    const double sum = sums_[end] - sums_[begin];
    return std::max(0.0, squares_[end] - squares_[begin] -
                             sum * sum / (weights_[end] - weights_[begin]));
  }

 private:
  double center_ = 0;
  std::vector<double> weights_, sums_, squares_;
};

// One more run: fills cost[m] and cut[m] for m in [begin, end], where the last
// run is [cut[m], m) and lies in [cut_low, cut_high].
void AddRun(const RunSums& runs, const std::vector<double>& before,
            size_t begin, size_t end, size_t cut_low, size_t cut_high,
            std::vector<double>* cost, uint32_t* cut) {
  const size_t m = begin + (end - begin) / 2;
  double best = std::numeric_limits<double>::infinity();
  size_t best_cut = cut_low;
  for (size_t j = cut_low; j <= std::min(cut_high, m - 1); ++j) {
    const double candidate = before[j] + runs.Cost(j, m);
    if (candidate < best) {
      best = candidate;
      best_cut = j;
    }
  }
  (*cost)[m] = best;
  cut[m] = static_cast<uint32_t>(best_cut);
  // Depth log2(n): the range halves.
  if (m > begin)
    AddRun(runs, before, begin, m - 1, cut_low, best_cut, cost, cut);
  if (m < end) AddRun(runs, before, m + 1, end, best_cut, cut_high, cost, cut);
}

}  // namespace

ScalarKMeans FitScalarKMeans(absl::Span<const double> values,
                             absl::Span<const double> weights, int k) {
  ScalarKMeans result;
  const std::vector<WeightedValue> items = DistinctValues(values, weights);
  const size_t n = items.size();
  if (n <= static_cast<size_t>(k)) {
    for (const WeightedValue& item : items) {
      result.centroids.push_back(item.value);
    }
    return result;
  }
  const RunSums runs(items);
  const size_t clusters = static_cast<size_t>(k);
  // cuts[q]: where the last of q + 1 runs begins, for every end.
  std::vector<uint32_t> cuts(clusters * (n + 1), 0);
  std::vector<double> before(n + 1, 0), cost(n + 1, 0);
  for (size_t m = 1; m <= n; ++m) before[m] = runs.Cost(0, m);
  for (size_t q = 1; q < clusters; ++q) {
    // With more items than clusters, an optimum with no empty run exists.
    AddRun(runs, before, q + 1, n, q, n - 1, &cost, &cuts[q * (n + 1)]);
    std::swap(before, cost);
  }
  std::vector<size_t> bounds(clusters + 1, 0);
  bounds[clusters] = n;
  for (size_t q = clusters; q-- > 1;) {
    bounds[q] = cuts[q * (n + 1) + bounds[q + 1]];
  }
  for (size_t q = 0; q < clusters; ++q) {
    result.centroids.push_back(runs.Mean(bounds[q], bounds[q + 1]));
    result.objective += runs.Cost(bounds[q], bounds[q + 1]);
  }
  return result;
}

}  // namespace quantd
