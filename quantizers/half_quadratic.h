// The half-quadratic fit of one group's affine grid with a real zero point:
//
//   minimise  sum_i |w_i - s (q_i - z)|^p  over z,
//   q_i = clamp(round(w_i / s + z), 0, 2^b - 1)
//
// split by auxiliary errors e into two steps with closed forms, repeated:
//
//   e_i = shrink(w_i - s (q_i - z), beta)
//   z   = mean(q_i - (w_i - e_i) / s)
//   beta = kappa * beta
//   shrink(x, beta) = sign(x) max(0, |x| - |x|^(p-1) / beta)
//
// The start is round to nearest over the group's range: s = (max - min) /
// (2^b - 1), z = -min / s. Source: Badri, Shaji, Half-Quadratic Quantization of
// Large Machine Learning Models, 2023. As in the reference code, the error that
// decides when to stop is sum |w - s (q - z)|; chosen here, it is that of each
// group and not of the whole matrix, with z rounded to binary16 as it is
// stored. The best z is kept: no group ends above its start.
//
// Free functions, thread-safe.
#ifndef QUANTD_QUANTIZERS_HALF_QUADRATIC_H_
#define QUANTD_QUANTIZERS_HALF_QUADRATIC_H_

#include <cstdint>

#include "absl/types/span.h"

namespace quantd {

struct HalfQuadraticOptions {
  int bits = 4;
  int64_t group_size = 64;  // -1: one group per output channel
  double norm = 0.7;
  double beta = 10.0;
  double kappa = 1.01;
  int iterations = 20;  // 0: round to nearest

  // Input channels per group in a layer of `cols` input channels.
  int64_t GroupSizeFor(int64_t cols) const {
    return group_size < 0 ? cols : group_size;
  }
  int max_code() const { return (1 << bits) - 1; }
};

// Both exact in binary16, `scale` positive.
struct RealZeroGrid {
  float scale = 1.0f;
  float zero = 0.0f;

  int Encode(float w, int max_code) const;
  float Decode(int code) const {
    return scale * (static_cast<float>(code) - zero);
  }
};

// The grid at iteration 0.
RealZeroGrid RangeGrid(absl::Span<const float> weights,
                       absl::Span<const float> importance,
                       const HalfQuadraticOptions& options);

// sum importance * |w - s (q - z)|, the error that must fall.
double RealZeroError(absl::Span<const float> weights,
                     absl::Span<const float> importance,
                     const RealZeroGrid& grid,
                     const HalfQuadraticOptions& options);

// `importance` says how much each weight counts, 0 = it is left out; empty: all
// alike.
RealZeroGrid FitHalfQuadratic(absl::Span<const float> weights,
                              absl::Span<const float> importance,
                              const HalfQuadraticOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_HALF_QUADRATIC_H_
