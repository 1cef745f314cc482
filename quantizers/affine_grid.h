// The affine (uniform integer) grid of one group of weights.
//
//   q(w) = scale * (clamp(round(w / scale) + zero, 0, 2^bits - 1) - zero)
//
// Asymmetric: zero is always inside the range, scale = (max - min) / (2^b - 1),
// zero = round(-min / scale). Symmetric: max = max|w|, min = -max, zero =
// 2^(b-1). Signed symmetric: scale = max|w| / (2^(b-1) - 1), zero = 2^(b-1), so
// that the greatest weight is on the grid. Rounding is half to even. An
// all-zero group uses [-1, 1]. Source: GPTQ (arXiv:2210.17323), reference grid.
//
// The range may be fitted to the weights (RangeFit). Shrink search scales both
// ends by p = 1 - i / 100 and keeps the p with the least sum |q(w) - w|^norm.
// Scale descent follows the gradient of sum (q(w) - w)^2 by the scale, which is
//   2 sum (q(w) - w) * (code - zero)
// wherever no weight changes its code, with Adam on scale / first scale, and
// keeps the best. Source: EasyQuant (Tang et al., arXiv:2403.02775).
//
// Salience search tries p = 1 +- 0.1 i / steps; its errors count
// salience_weight times where a weight is salient, which the caller says
// through `importance`. Source: SliM-LLM (arXiv:2405.14917), salience-weighted
// quantizer calibration.
//
// The scale is rounded to binary16 before anything is computed with it,
// because that is how it is stored; error compensation then sees the grid that
// will really be decoded.
//
// Free functions, thread-safe. Instantiated for float and double.
#ifndef QUANTD_QUANTIZERS_AFFINE_GRID_H_
#define QUANTD_QUANTIZERS_AFFINE_GRID_H_

#include <cmath>
#include <cstdint>

#include "absl/types/span.h"
#include "quantd/v1/grids.pb.h"

namespace quantd {

enum class RangeFit { kMinMax, kShrinkSearch, kScaleDescent, kSalienceSearch };

struct AffineGridOptions {
  int bits = 4;
  bool symmetric = false;
  bool signed_range = false;  // of a symmetric grid
  int64_t group_size = -1;    // -1: one group per output channel
  RangeFit range_fit = RangeFit::kMinMax;
  double shrink_norm = 2.4;
  int shrink_steps = 80;
  int descent_steps = 100;
  double descent_rate = 0.01;  // of the first scale, per step
  double salience_weight = 1.0;
  double salience_sigma = 3.0;
  int salience_steps = 50;  // on either side of 1

  // Input channels per group in a layer of `cols` input channels.
  int64_t GroupSizeFor(int64_t cols) const {
    return group_size < 0 ? cols : group_size;
  }
  int max_code() const { return (1 << bits) - 1; }
  // How often a fit looks at each weight.
  int fit_rounds() const {
    switch (range_fit) {
      case RangeFit::kMinMax:
        return 0;
      case RangeFit::kShrinkSearch:
        return shrink_steps;
      case RangeFit::kScaleDescent:
        return descent_steps + 1;
      case RangeFit::kSalienceSearch:
        return 2 * salience_steps + 1;
    }
    return 0;
  }
};

// REQUIRES: defaults were filled in and validated (proto/field_rules.h).
AffineGridOptions GridOptionsFrom(const v1::AffineGrid& grid);

// The binary16 number a scale is stored as: positive and finite, whatever
// `scale` >= 0 is.
float StorableScale(double scale);

// The grid of one group. `scale` is a positive value exact in binary16.
struct GroupGrid {
  float scale = 1.0f;
  int zero = 0;
};

// `importance` weighs the errors of the fit and leaves weights out of the range
// where it is 0; empty: all weights alike.
template <typename Real>
GroupGrid FitGroupGrid(absl::Span<const Real> weights,
                       absl::Span<const Real> importance,
                       const AffineGridOptions& options);
template <typename Real>
GroupGrid FitGroupGrid(absl::Span<const Real> weights,
                       const AffineGridOptions& options) {
  return FitGroupGrid<Real>(weights, {}, options);
}

// The code of `w`, 0 .. max_code.
template <typename Real>
inline int EncodeWeight(Real w, const GroupGrid& grid, int max_code) {
  const Real rounded =
      std::nearbyint(w / static_cast<Real>(grid.scale)) + grid.zero;
  // Clamped before conversion: a huge quotient does not fit an int.
  if (!(rounded > 0)) return 0;
  if (rounded > max_code) return max_code;
  return static_cast<int>(rounded);
}

template <typename Real>
inline Real DecodeWeight(int code, const GroupGrid& grid) {
  return static_cast<Real>(grid.scale) * static_cast<Real>(code - grid.zero);
}

// sum importance * (q(w) - w)^2 and its derivative by the scale.
struct ScaleError {
  double error = 0;
  double slope = 0;
};

template <typename Real>
ScaleError ErrorOfScale(absl::Span<const Real> weights,
                        absl::Span<const Real> importance,
                        const GroupGrid& grid, int max_code);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_AFFINE_GRID_H_
