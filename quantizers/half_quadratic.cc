#include "quantizers/half_quadratic.h"

#include <algorithm>
#include <cmath>

#include "kernels/float_formats.h"
#include "quantizers/affine_grid.h"

namespace quantd {
namespace {

// A zero point is stored with 11 significant bits. The scale of a group far
// from zero is kept so large that they resolve a quarter of a code.
constexpr double kMostZero = 512;

double CountOf(absl::Span<const float> importance, size_t i) {
  return importance.empty() ? 1.0 : static_cast<double>(importance[i]);
}

double Shrink(double x, double beta, double norm) {
  if (x == 0) return 0;
  const double size = std::abs(x) - std::pow(std::abs(x), norm - 1) / beta;
  return size > 0 ? std::copysign(size, x) : 0.0;
}

}  // namespace

int RealZeroGrid::Encode(float w, int max_code) const {
  const float rounded = std::nearbyint(w / scale + zero);
  // Clamped before conversion: a huge quotient does not fit an int.
  if (!(rounded > 0)) return 0;
  if (rounded > static_cast<float>(max_code)) return max_code;
  return static_cast<int>(rounded);
}

RealZeroGrid RangeGrid(absl::Span<const float> weights,
                       absl::Span<const float> importance,
                       const HalfQuadraticOptions& options) {
  bool any = false;
  double min = 0;
  double max = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (CountOf(importance, i) == 0) continue;
    const double w = weights[i];
    min = any ? std::min(min, w) : w;
    max = any ? std::max(max, w) : w;
    any = true;
  }
  RealZeroGrid grid;
  if (min == 0 && max == 0) return grid;
  const double farthest = std::max(std::abs(min), std::abs(max));
  grid.scale = StorableScale(
      std::max((max - min) / options.max_code(), farthest / kMostZero));
  grid.zero = NearestF16(-min / static_cast<double>(grid.scale));
  return grid;
}

double RealZeroError(absl::Span<const float> weights,
                     absl::Span<const float> importance,
                     const RealZeroGrid& grid,
                     const HalfQuadraticOptions& options) {
  double error = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double count = CountOf(importance, i);
    if (count == 0) continue;
    const float q = grid.Decode(grid.Encode(weights[i], options.max_code()));
    error += count * std::abs(static_cast<double>(q) - weights[i]);
  }
  return error;
}

RealZeroGrid FitHalfQuadratic(absl::Span<const float> weights,
                              absl::Span<const float> importance,
                              const HalfQuadraticOptions& options) {
  RealZeroGrid best = RangeGrid(weights, importance, options);
  double least_error = RealZeroError(weights, importance, best, options);
  double beta = options.beta;
  for (int t = 0; t < options.iterations && least_error > 0; ++t) {
    const double scale = best.scale;
    double sum = 0;
    double total = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      const double count = CountOf(importance, i);
      if (count == 0) continue;
      const double w = weights[i];
      const int code = best.Encode(weights[i], options.max_code());
      const double e =
          Shrink(w - scale * (code - static_cast<double>(best.zero)), beta,
                 options.norm);
      sum += count * (code - (w - e) / scale);
      total += count;
    }
    RealZeroGrid next = best;
    next.zero = NearestF16(sum / total);
    const double error = RealZeroError(weights, importance, next, options);
    if (!(error < least_error)) break;
    least_error = error;
    best = next;
    beta *= options.kappa;
  }
  return best;
}

}  // namespace quantd
