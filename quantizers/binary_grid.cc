#include "quantizers/binary_grid.h"

#include <cmath>
#include <cstddef>

#include "kernels/float_formats.h"

namespace quantd {

template <typename Real>
BinaryGrid FitBinaryGrid(absl::Span<const Real> weights,
                         absl::Span<const Real> importance,
                         BinaryCenter center) {
  const auto weight_of = [&](size_t i) {
    return importance.empty() ? 1.0 : static_cast<double>(importance[i]);
  };
  double total = 0;
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    total += weight_of(i);
    sum += weight_of(i) * static_cast<double>(weights[i]);
  }
  BinaryGrid grid;
  if (!(total > 0)) return grid;
  if (center == BinaryCenter::kMean) grid.mean = NearestF16(sum / total);
  double distance = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    distance += weight_of(i) * std::abs(static_cast<double>(weights[i]) -
                                        static_cast<double>(grid.mean));
  }
  grid.alpha = NearestF16(distance / total);
  return grid;
}

template BinaryGrid FitBinaryGrid<float>(absl::Span<const float>,
                                         absl::Span<const float>, BinaryCenter);
template BinaryGrid FitBinaryGrid<double>(absl::Span<const double>,
                                          absl::Span<const double>,
                                          BinaryCenter);

}  // namespace quantd
