#include "quantizers/value_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace quantd {

ValueSet::ValueSet(std::vector<float> values) : values_(std::move(values)) {
  std::vector<uint8_t> order(values_.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::stable_sort(order.begin(), order.end(), [&](uint8_t a, uint8_t b) {
    return values_[a] < values_[b];
  });
  order.erase(std::unique(order.begin(), order.end(),
                          [&](uint8_t a, uint8_t b) {
                            return values_[a] == values_[b];
                          }),
              order.end());
  std::vector<double> middles;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    // Exact: the sum of two floats of a table fits a double.
    middles.push_back(
        (static_cast<double>(values_[order[i]]) + values_[order[i + 1]]) / 2);
  }
  SetThresholds(order, middles);
}

ValueSet::ValueSet(std::vector<float> values,
                   const std::vector<double>& thresholds)
    : values_(std::move(values)) {
  std::vector<uint8_t> order(values_.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  SetThresholds(order, thresholds);
}

void ValueSet::SetThresholds(const std::vector<uint8_t>& order,
                             const std::vector<double>& thresholds) {
  codes_ = order;
  above_ = thresholds;
  for (size_t i = 0; i < above_.size(); ++i) {
    // A number at the threshold itself goes up: it is above the next number
    // below the threshold.
    const bool up = codes_[i] % 2 != 0 && codes_[i + 1] % 2 == 0;
    if (up) {
      above_[i] =
          std::nextafter(above_[i], -std::numeric_limits<double>::infinity());
    }
  }
}

int ValueSet::Encode(double x) const {
  const auto it = std::lower_bound(above_.begin(), above_.end(), x);
  return codes_[static_cast<size_t>(it - above_.begin())];
}

}  // namespace quantd
