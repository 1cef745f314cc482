// Weights as integers of a power of them.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tensor/estimators.h"
#include "tensor/estimators/elementwise.h"
#include "tensor/estimators/group_reader.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {
namespace {

// Of |x| / R in logarithms.
constexpr double kLeastShare = 1e-8;

// The sum of f(r, c) over all elements, as a tensor [1]; rows in their order,
// so that it does not depend on the threads.
template <typename Function>
Tensor SumOverElements(int64_t rows, int64_t cols, ExecutionContext& ctx,
                       Function f) {
  std::vector<double> sums(static_cast<size_t>(rows));
  ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
    double sum = 0;
    for (int64_t c = 0; c < cols; ++c) sum += f(r, c);
    sums[static_cast<size_t>(r)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return Tensor::FromValues({1}, {static_cast<float>(total)});
}

}  // namespace

Tensor ToPowerUnits(const Tensor& x, const Tensor& ones, const Tensor& exponent,
                    float top, const ChannelGroups& groups,
                    ExecutionContext& ctx) {
  const GroupReader at(ones, Tensor(), groups, x.cols());
  const double a = exponent.data()[0];
  Tensor u = ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
    const float v = x.row(r)[c];
    // Divided in float32, as grids do.
    const double power = std::pow(double{std::abs(v) / at.scale(r, c)}, a);
    return static_cast<float>(std::copysign(power, v));
  });
  GradientTape* const tape = GradientTape::Of({&exponent});
  if (tape == nullptr) return u;
  return tape->Record(u, [tape, to_exponent = tape->IdOf(exponent),
                          x = x.Untracked(), u = u.Untracked(), at, a,
                          top](const Tensor& du) {
    // R = ones top^(1/a)
    const double share = std::pow(double{top}, -1 / a);
    tape->Add(to_exponent,
              SumOverElements(
                  x.rows(), x.cols(), tape->ctx(), [&](int64_t r, int64_t c) {
                    const double of_range =
                        double{std::abs(x.row(r)[c])} / at.scale(r, c) * share;
                    return double{du.row(r)[c]} * u.row(r)[c] *
                           std::log(std::max(of_range, kLeastShare));
                  }));
  });
}

Tensor FromPowerUnits(const Tensor& u, const Tensor& scales,
                      std::shared_ptr<const std::vector<float>> values,
                      const Tensor& exponent, const ChannelGroups& groups,
                      ExecutionContext& ctx) {
  const GroupReader at(scales, Tensor(), groups, u.cols());
  const double a = exponent.data()[0];
  const float half = static_cast<float>(values->size() / 2);
  const float top = half - 1;
  // NaN becomes the least code.
  const auto code = [half, top](float units) {
    return std::min(std::max(-half, std::nearbyint(units)), top);
  };
  Tensor y = ElementwiseInRows(u.shape(), ctx, [&](int64_t r, int64_t c) {
    const float q = code(u.row(r)[c]);
    return at.scale(r, c) * (*values)[static_cast<size_t>(q + half)];
  });
  GradientTape* const tape = GradientTape::Of({&u, &exponent});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_u = tape->IdOf(u),
                          to_exponent = tape->IdOf(exponent), u = u.Untracked(),
                          y = y.Untracked(), at, values = std::move(values),
                          code, half, top, a](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_u != kUntracked) {
      const double slope = values->back() / (a * top);
      tape->Add(to_u,
                ElementwiseInRows(u.shape(), ctx, [&](int64_t r, int64_t c) {
                  const float units = u.row(r)[c];
                  const float nearest = std::nearbyint(units);
                  if (!(nearest >= -half && nearest <= top)) return 0.0f;
                  const double size = std::max(std::abs(units), 0.5f) / top;
                  return static_cast<float>(dy.row(r)[c] * at.scale(r, c) *
                                            slope * std::pow(size, 1 / a - 1));
                }));
    }
    if (to_exponent == kUntracked) return;
    tape->Add(
        to_exponent,
        SumOverElements(u.rows(), u.cols(), ctx, [&](int64_t r, int64_t c) {
          const float q = code(u.row(r)[c]);
          if (q == 0) return 0.0;
          return double{dy.row(r)[c]} * y.row(r)[c] *
                 -std::log(std::abs(q) / top) / (a * a);
        }));
  });
}

}  // namespace quantd::ops
