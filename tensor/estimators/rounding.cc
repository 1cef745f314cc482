// Rounding, clipping, and what stands in for their derivatives.
#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/float_formats.h"
#include "tensor/estimators.h"
#include "tensor/estimators/elementwise.h"
#include "tensor/estimators/group_reader.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
namespace {

// Records y as if it were x.
Tensor RecordIdentity(Tensor y, const Tensor& x) {
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x)](const Tensor& dy) { tape->Add(to_x, dy); });
}

}  // namespace

Tensor RoundStraightThrough(const Tensor& x, ExecutionContext& ctx) {
  const float* const in = x.data();
  return RecordIdentity(
      Elementwise(x.shape(), ctx,
                  [in](int64_t i) { return std::nearbyint(in[i]); }),
      x);
}

Tensor RoundToF16StraightThrough(const Tensor& x, ExecutionContext& ctx) {
  const float* const in = x.data();
  return RecordIdentity(
      Elementwise(x.shape(), ctx,
                  [in](int64_t i) { return NearestF16(in[i]); }),
      x);
}

Tensor StraightThrough(const Tensor& y, const Tensor& x, const Tensor& slopes,
                       ExecutionContext& ctx) {
  (void)ctx;
  GradientTape* const tape = GradientTape::Of({&y, &x});
  if (tape == nullptr) return y;
  return tape->Record(
      y.Untracked(), [tape, to_y = tape->IdOf(y), to_x = tape->IdOf(x),
                      slopes = slopes.Untracked()](const Tensor& dy) {
        tape->Add(to_y, dy);
        if (to_x == kUntracked) return;
        const float* const d = dy.data();
        const float* const slope = slopes.data();
        tape->Add(to_x, Elementwise(dy.shape(), tape->ctx(), [=](int64_t i) {
                    return d[i] * slope[i];
                  }));
      });
}

Tensor Clip(const Tensor& x, float low, float high, ExecutionContext& ctx) {
  const float* const in = x.data();
  Tensor y = Elementwise(x.shape(), ctx, [=](int64_t i) {
    return std::min(std::max(in[i], low), high);
  });
  return RecordElementwise(std::move(y), x,
                           [x = x.Untracked(), low, high](int64_t i) {
                             const float v = x.data()[i];
                             return v >= low && v <= high ? 1.0f : 0.0f;
                           });
}

Tensor ClipToTops(const Tensor& x, const Tensor& tops, ExecutionContext& ctx) {
  const float* const in = x.data();
  const float* const top = tops.data();
  Tensor y = Elementwise(x.shape(), ctx, [=](int64_t i) {
    return std::min(std::max(in[i], 0.0f), top[i]);
  });
  return RecordElementwise(std::move(y), x,
                           [x = x.Untracked(), tops](int64_t i) {
                             const float v = x.data()[i];
                             return v >= 0 && v <= tops.data()[i] ? 1.0f : 0.0f;
                           });
}

namespace {

float Sigmoid(float v) { return 1.0f / (1.0f + std::exp(-v)); }

constexpr float kStretch = 1.2f;
constexpr float kShift = -0.1f;

}  // namespace

Tensor RectifiedSigmoid(const Tensor& v, ExecutionContext& ctx) {
  const float* const in = v.data();
  Tensor y = Elementwise(v.shape(), ctx, [in](int64_t i) {
    return std::clamp(kStretch * Sigmoid(in[i]) + kShift, 0.0f, 1.0f);
  });
  return RecordElementwise(std::move(y), v, [v = v.Untracked()](int64_t i) {
    const float s = Sigmoid(v.data()[i]);
    const float h = kStretch * s + kShift;
    return h > 0 && h < 1 ? kStretch * s * (1 - s) : 0.0f;
  });
}

Tensor RoundingPenalty(const Tensor& h, float beta, ExecutionContext& ctx) {
  double sum = 0;
  for (float value : h.values()) {
    sum += 1 - std::pow(std::abs(2.0 * value - 1), beta);
  }
  Tensor y = Tensor::FromValues({1}, {static_cast<float>(sum)});
  GradientTape* const tape = GradientTape::Of({&h});
  if (tape == nullptr) return y;
  (void)ctx;
  return tape->Record(std::move(y), [tape, to_h = tape->IdOf(h), beta,
                                     h = h.Untracked()](const Tensor& dy) {
    const float d = dy.data()[0];
    const float* const in = h.data();
    tape->Add(to_h, Elementwise(h.shape(), tape->ctx(), [=](int64_t i) {
                const float t = 2 * in[i] - 1;
                const float slope = -2 * beta * std::pow(std::abs(t), beta - 1);
                return d * (t < 0 ? -slope : slope);
              }));
  });
}

Tensor LsqQuantize(const Tensor& x, const Tensor& scales, const Tensor& zeros,
                   float low, float high, const ChannelGroups& groups,
                   ExecutionContext& ctx) {
  const GroupReader at(scales, zeros, groups, x.cols());
  Tensor y = ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
    const float scale = at.scale(r, c);
    const float zero = at.zero(r, c);
    const float q =
        std::clamp(std::nearbyint(x.row(r)[c] / scale + zero), low, high);
    return scale * (q - zero);
  });
  GradientTape* const tape = GradientTape::Of({&x, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(std::move(y), [tape, to_x = tape->IdOf(x),
                                     to_scales = tape->IdOf(scales),
                                     to_zeros = tape->IdOf(zeros),
                                     x = x.Untracked(), at, low,
                                     high](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    // The code before it is clipped.
    const auto unclipped = [&](int64_t r, int64_t c) {
      return std::nearbyint(x.row(r)[c] / at.scale(r, c) + at.zero(r, c));
    };
    const auto inside = [&](float q) { return q >= low && q <= high; };
    if (to_x != kUntracked) {
      tape->Add(to_x,
                ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
                  return inside(unclipped(r, c)) ? dy.row(r)[c] : 0.0f;
                }));
    }
    if (to_scales != kUntracked) {
      tape->Add(to_scales, at.Sums(ctx, [&](int64_t r, int64_t c) {
        const float q = unclipped(r, c);
        const double zero = at.zero(r, c);
        const double slope = inside(q) ? q - zero - x.row(r)[c] / at.scale(r, c)
                                       : std::clamp(q, low, high) - zero;
        return dy.row(r)[c] * slope;
      }));
    }
    if (to_zeros != kUntracked) {
      tape->Add(to_zeros, at.Sums(ctx, [&](int64_t r, int64_t c) {
        return inside(unclipped(r, c))
                   ? 0.0
                   : -static_cast<double>(dy.row(r)[c]) * at.scale(r, c);
      }));
    }
  });
}

Tensor ScaleGradient(const Tensor& x, float factor, ExecutionContext& ctx) {
  (void)ctx;
  return RecordElementwise(x.Untracked(), x,
                           [factor](int64_t) { return factor; });
}

}  // namespace quantd::ops
