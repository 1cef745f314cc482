#include "quantizers/affine_grid.h"

#include <algorithm>
#include <limits>

#include "kernels/float_formats.h"

namespace quantd {
namespace {

constexpr float kSmallestScale = 0x1p-24f;  // least positive binary16
constexpr float kLargestScale = 65504.0f;   // greatest finite binary16

GroupGrid GridOfRange(double min, double max,
                      const AffineGridOptions& options) {
  GroupGrid grid;
  grid.scale =
      StorableScale(options.symmetric && options.signed_range
                        ? max / std::max(1, (1 << (options.bits - 1)) - 1)
                        : (max - min) / options.max_code());
  grid.zero = options.symmetric
                  ? 1 << (options.bits - 1)
                  : std::clamp(static_cast<int>(std::nearbyint(
                                   -min / static_cast<double>(grid.scale))),
                               0, options.max_code());
  return grid;
}

template <typename Real>
double ErrorOfGrid(absl::Span<const Real> weights,
                   absl::Span<const Real> importance, const GroupGrid& grid,
                   const AffineGridOptions& options) {
  double error = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const Real w = weights[i];
    const int code = EncodeWeight(w, grid, options.max_code());
    const double difference =
        std::abs(static_cast<double>(DecodeWeight<Real>(code, grid) - w));
    const double term = std::pow(difference, options.shrink_norm);
    error +=
        importance.empty() ? term : static_cast<double>(importance[i]) * term;
  }
  return error;
}

}  // namespace

float StorableScale(double scale) {
  const float rounded = F16ToF32(F32ToF16(
      static_cast<float>(std::min(scale, static_cast<double>(kLargestScale)))));
  return std::max(rounded, kSmallestScale);
}

AffineGridOptions GridOptionsFrom(const v1::AffineGrid& grid) {
  AffineGridOptions options;
  options.bits = static_cast<int>(grid.bits());
  options.symmetric = grid.symmetric();
  options.signed_range = grid.signed_range();
  options.group_size = grid.group_size();
  options.shrink_search = grid.shrink_search();
  options.shrink_norm = grid.shrink_norm();
  options.shrink_steps = static_cast<int>(grid.shrink_steps());
  return options;
}

template <typename Real>
GroupGrid FitGroupGrid(absl::Span<const Real> weights,
                       absl::Span<const Real> importance,
                       const AffineGridOptions& options) {
  double min = 0;
  double max = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!importance.empty() && importance[i] == 0) continue;
    min = std::min(min, static_cast<double>(weights[i]));
    max = std::max(max, static_cast<double>(weights[i]));
  }
  if (options.symmetric) {
    max = std::max(-min, max);
    min = -max;
  }
  if (min == 0 && max == 0) {
    min = -1;
    max = 1;
  }
  GroupGrid best = GridOfRange(min, max, options);
  if (!options.shrink_search) return best;
  double best_error = ErrorOfGrid(weights, importance, best, options);
  for (int i = 1; i < options.shrink_steps; ++i) {
    const double p = 1.0 - i / 100.0;
    const GroupGrid grid = GridOfRange(p * min, p * max, options);
    const double error = ErrorOfGrid(weights, importance, grid, options);
    if (error < best_error) {
      best_error = error;
      best = grid;
    }
  }
  return best;
}

template GroupGrid FitGroupGrid<float>(absl::Span<const float>,
                                       absl::Span<const float>,
                                       const AffineGridOptions&);
template GroupGrid FitGroupGrid<double>(absl::Span<const double>,
                                        absl::Span<const double>,
                                        const AffineGridOptions&);

}  // namespace quantd
