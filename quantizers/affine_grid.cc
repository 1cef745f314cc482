#include "quantizers/affine_grid.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/float_formats.h"

namespace quantd {
namespace {

constexpr float kSmallestScale = 0x1p-24f;  // least positive binary16

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

// The factors of the range that a search tries besides 1.
std::vector<double> RangeFactors(const AffineGridOptions& options) {
  std::vector<double> factors;
  if (options.range_fit == RangeFit::kShrinkSearch) {
    for (int i = 1; i < options.shrink_steps; ++i) {
      factors.push_back(1.0 - i / 100.0);
    }
  } else {
    constexpr double kSpan = 0.1;
    for (int i = 1; i <= options.salience_steps; ++i) {
      const double step = kSpan * i / options.salience_steps;
      factors.push_back(1.0 + step);
      factors.push_back(1.0 - step);
    }
  }
  return factors;
}

template <typename Real>
GroupGrid SearchedGrid(absl::Span<const Real> weights,
                       absl::Span<const Real> importance, double min,
                       double max, const AffineGridOptions& options) {
  GroupGrid best = GridOfRange(min, max, options);
  double best_error = ErrorOfGrid(weights, importance, best, options);
  for (double p : RangeFactors(options)) {
    const GroupGrid grid = GridOfRange(p * min, p * max, options);
    const double error = ErrorOfGrid(weights, importance, grid, options);
    if (error < best_error) {
      best_error = error;
      best = grid;
    }
  }
  return best;
}

// Adam (Kingma and Ba, arXiv:1412.6980) on scale / first scale, because its
// steps have the size of the rate whatever the size of the weights. The slope
// is taken at the scale that would be stored.
template <typename Real>
GroupGrid DescendedGrid(absl::Span<const Real> weights,
                        absl::Span<const Real> importance, GroupGrid first,
                        const AffineGridOptions& options) {
  constexpr double kBeta1 = 0.9;
  constexpr double kBeta2 = 0.999;
  constexpr double kEpsilon = 1e-8;
  constexpr double kSmallestShare = 1e-3;
  ScaleError at = ErrorOfScale(weights, importance, first, options.max_code());
  const double first_error = at.error;
  if (first_error == 0) return first;
  GroupGrid best = first;
  double best_error = first_error;
  GroupGrid grid = first;
  const double first_scale = static_cast<double>(first.scale);
  double share = 1;
  double mean = 0;
  double square = 0;
  for (int step = 1; step <= options.descent_steps; ++step) {
    // In units of the first error, so that epsilon means the same everywhere.
    const double slope = at.slope * first_scale / first_error;
    mean = kBeta1 * mean + (1 - kBeta1) * slope;
    square = kBeta2 * square + (1 - kBeta2) * slope * slope;
    const double corrected = mean / (1 - std::pow(kBeta1, step));
    const double size = std::sqrt(square / (1 - std::pow(kBeta2, step)));
    share = std::max(kSmallestShare, share - options.descent_rate * corrected /
                                                 (size + kEpsilon));
    grid.scale = StorableScale(share * first_scale);
    at = ErrorOfScale(weights, importance, grid, options.max_code());
    if (at.error < best_error) {
      best_error = at.error;
      best = grid;
    }
  }
  return best;
}

RangeFit RangeFitFrom(v1::AffineGrid::RangeFit fit) {
  switch (fit) {
    case v1::AffineGrid::SHRINK_SEARCH:
      return RangeFit::kShrinkSearch;
    case v1::AffineGrid::SCALE_DESCENT:
      return RangeFit::kScaleDescent;
    case v1::AffineGrid::SALIENCE_SEARCH:
      return RangeFit::kSalienceSearch;
    default:
      return RangeFit::kMinMax;
  }
}

}  // namespace

float StorableScale(double scale) {
  return std::max(NearestF16(scale), kSmallestScale);
}

AffineGridOptions GridOptionsFrom(const v1::AffineGrid& grid) {
  AffineGridOptions options;
  options.bits = static_cast<int>(grid.bits());
  options.symmetric = grid.symmetric();
  options.signed_range = grid.signed_range();
  options.group_size = grid.group_size();
  options.range_fit = RangeFitFrom(grid.range_fit());
  options.shrink_norm = grid.shrink_norm();
  options.shrink_steps = static_cast<int>(grid.shrink_steps());
  options.descent_steps = static_cast<int>(grid.descent_steps());
  options.descent_rate = grid.descent_rate();
  options.salience_weight = grid.salience_weight();
  options.salience_sigma = grid.salience_sigma();
  options.salience_steps = static_cast<int>(grid.salience_steps());
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
  switch (options.range_fit) {
    case RangeFit::kMinMax:
      break;
    case RangeFit::kShrinkSearch:
    case RangeFit::kSalienceSearch:
      return SearchedGrid(weights, importance, min, max, options);
    case RangeFit::kScaleDescent:
      return DescendedGrid(weights, importance, GridOfRange(min, max, options),
                           options);
  }
  return GridOfRange(min, max, options);
}

template <typename Real>
ScaleError ErrorOfScale(absl::Span<const Real> weights,
                        absl::Span<const Real> importance,
                        const GroupGrid& grid, int max_code) {
  ScaleError result;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double count =
        importance.empty() ? 1.0 : static_cast<double>(importance[i]);
    if (count == 0) continue;
    const int code = EncodeWeight(weights[i], grid, max_code);
    const double difference =
        static_cast<double>(DecodeWeight<Real>(code, grid) - weights[i]);
    result.error += count * difference * difference;
    result.slope += 2 * count * difference * (code - grid.zero);
  }
  return result;
}

template ScaleError ErrorOfScale<float>(absl::Span<const float>,
                                        absl::Span<const float>,
                                        const GroupGrid&, int);
template ScaleError ErrorOfScale<double>(absl::Span<const double>,
                                         absl::Span<const double>,
                                         const GroupGrid&, int);
template GroupGrid FitGroupGrid<float>(absl::Span<const float>,
                                       absl::Span<const float>,
                                       const AffineGridOptions&);
template GroupGrid FitGroupGrid<double>(absl::Span<const double>,
                                        absl::Span<const double>,
                                        const AffineGridOptions&);

}  // namespace quantd
