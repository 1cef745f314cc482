// Weights in units of codes, scales and zero points by group.
#include <utility>
#include <vector>

#include "tensor/estimators.h"
#include "tensor/estimators/elementwise.h"
#include "tensor/estimators/group_reader.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

Tensor ToCodeUnits(const Tensor& x, const Tensor& scales, const Tensor& zeros,
                   const ChannelGroups& groups, ExecutionContext& ctx) {
  const GroupReader at(scales, zeros, groups, x.cols());
  Tensor y = ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
    return x.row(r)[c] / at.scale(r, c) + at.zero(r, c);
  });
  GradientTape* const tape = GradientTape::Of({&x, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(std::move(y), [tape, to_x = tape->IdOf(x),
                                     to_scales = tape->IdOf(scales),
                                     to_zeros = tape->IdOf(zeros),
                                     x = x.Untracked(), at](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_x != kUntracked) {
      tape->Add(to_x,
                ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
                  return dy.row(r)[c] / at.scale(r, c);
                }));
    }
    if (to_scales != kUntracked) {
      tape->Add(to_scales, at.Sums(ctx, [&](int64_t r, int64_t c) {
        const double s = at.scale(r, c);
        return -dy.row(r)[c] * x.row(r)[c] / (s * s);
      }));
    }
    if (to_zeros != kUntracked) {
      tape->Add(to_zeros, at.Sums(ctx, [&](int64_t r, int64_t c) {
        return double{dy.row(r)[c]};
      }));
    }
  });
}

Tensor FromCodeUnits(const Tensor& codes, const Tensor& scales,
                     const Tensor& zeros, const ChannelGroups& groups,
                     ExecutionContext& ctx) {
  const GroupReader at(scales, zeros, groups, codes.cols());
  Tensor y = ElementwiseInRows(codes.shape(), ctx, [&](int64_t r, int64_t c) {
    return at.scale(r, c) * (codes.row(r)[c] - at.zero(r, c));
  });
  GradientTape* const tape = GradientTape::Of({&codes, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(std::move(y), [tape, to_codes = tape->IdOf(codes),
                                     to_scales = tape->IdOf(scales),
                                     to_zeros = tape->IdOf(zeros),
                                     codes = codes.Untracked(),
                                     at](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_codes != kUntracked) {
      tape->Add(to_codes, ElementwiseInRows(
                              codes.shape(), ctx, [&](int64_t r, int64_t c) {
                                return dy.row(r)[c] * at.scale(r, c);
                              }));
    }
    if (to_scales != kUntracked) {
      tape->Add(to_scales, at.Sums(ctx, [&](int64_t r, int64_t c) {
        return double{dy.row(r)[c]} * (codes.row(r)[c] - at.zero(r, c));
      }));
    }
    if (to_zeros != kUntracked) {
      tape->Add(to_zeros, at.Sums(ctx, [&](int64_t r, int64_t c) {
        return -double{dy.row(r)[c]} * at.scale(r, c);
      }));
    }
  });
}

Tensor GroupMeans(const Tensor& x, const Tensor& counted,
                  const ChannelGroups& groups, ExecutionContext& ctx) {
  const int64_t group_count = x.cols() / groups.group_size;
  const std::vector<int32_t> group_of = groups.ByChannel(x.cols());
  const Shape by_group = {x.rows(), group_count};
  Tensor means = Tensor::Uninitialized(by_group);
  Tensor shares = Tensor::Uninitialized(by_group);  // of an element in the mean
  ctx.device().pool().ParallelFor(x.rows(), [&](int64_t r) {
    std::vector<double> sums(static_cast<size_t>(group_count), 0.0);
    std::vector<double> counts(sums.size(), 0.0);
    for (int64_t c = 0; c < x.cols(); ++c) {
      const size_t g = static_cast<size_t>(group_of[static_cast<size_t>(c)]);
      sums[g] += double{counted.row(r)[c]} * x.row(r)[c];
      counts[g] += counted.row(r)[c];
    }
    for (size_t g = 0; g < sums.size(); ++g) {
      const bool any = counts[g] > 0;
      means.row(r)[g] = any ? static_cast<float>(sums[g] / counts[g]) : 0.0f;
      shares.row(r)[g] = any ? static_cast<float>(1 / counts[g]) : 0.0f;
    }
  });
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return means;
  return tape->Record(std::move(means), [tape, to_x = tape->IdOf(x),
                                         shape = x.shape(),
                                         counted = counted.Untracked(), shares,
                                         group_of](const Tensor& dy) {
    tape->Add(to_x,
              ElementwiseInRows(shape, tape->ctx(), [&](int64_t r, int64_t c) {
                const int64_t g = group_of[static_cast<size_t>(c)];
                return counted.row(r)[c] * dy.row(r)[g] * shares.row(r)[g];
              }));
  });
}

}  // namespace quantd::ops
