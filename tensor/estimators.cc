#include "tensor/estimators.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/float_formats.h"
#include "tensor/gradient_tape.h"

namespace quantd {

std::vector<int32_t> ChannelGroups::ByChannel(int64_t cols) const {
  std::vector<int32_t> result(static_cast<size_t>(cols));
  for (int64_t c = 0; c < cols; ++c) {
    result[static_cast<size_t>(c)] = static_cast<int32_t>(Of(c));
  }
  return result;
}

namespace ops {
namespace {

using Id = GradientTape::Id;
constexpr Id kUntracked = GradientTape::kUntracked;

// Elements that one task of ParallelFor takes: enough to be worth handing over.
constexpr int64_t kChunk = 16384;

// y[i] = f(i) for all elements.
template <typename Function>
Tensor Elementwise(const Shape& shape, ExecutionContext& ctx, Function f) {
  Tensor y = Tensor::Uninitialized(shape);
  const int64_t size = y.size();
  float* const out = y.data();
  ctx.device().pool().ParallelFor(
      (size + kChunk - 1) / kChunk, [&](int64_t chunk) {
        const int64_t begin = chunk * kChunk;
        const int64_t end = std::min(begin + kChunk, size);
        for (int64_t i = begin; i < end; ++i) {
          out[i] = f(i);
        }
      });
  return y;
}

// The same with the row and column of an element of a matrix.
template <typename Function>
void ForEachInRows(int64_t rows, int64_t cols, ExecutionContext& ctx,
                   Function f) {
  ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
    for (int64_t c = 0; c < cols; ++c) f(r, c);
  });
}

// Records y = f(x) whose derivative with respect to x[i] is slope(i).
template <typename Slope>
Tensor RecordElementwise(Tensor y, const Tensor& x, Slope slope) {
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x), slope = std::move(slope)](const Tensor& dy) {
        const float* const d = dy.data();
        tape->Add(to_x, Elementwise(dy.shape(), tape->ctx(), [&](int64_t i) {
                    return d[i] * slope(i);
                  }));
      });
}

Tensor RecordIdentity(Tensor y, const Tensor& x) {
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x)](const Tensor& dy) { tape->Add(to_x, dy); });
}

// Of scales and zero points [rows, groups]; zero points may be left out.
class GroupReader {
 public:
  GroupReader(const Tensor& scales, const Tensor& zeros,
              const ChannelGroups& groups, int64_t cols)
      : scales(scales.Untracked()),
        zeros(zeros.Untracked()),
        groups_(scales.cols()),
        scale_data_(scales.data()),
        zero_data_(zeros.size() == 0 ? nullptr : zeros.data()),
        group_of_(groups.ByChannel(cols)) {}

  int64_t group(int64_t c) const { return group_of_[static_cast<size_t>(c)]; }
  float scale(int64_t r, int64_t c) const {
    return scale_data_[r * groups_ + group(c)];
  }
  float zero(int64_t r, int64_t c) const {
    return zero_data_ == nullptr ? 0.0f : zero_data_[r * groups_ + group(c)];
  }

  // sums[r, g] = sum over channels of the group of f(r, c), in float64.
  template <typename Function>
  Tensor Sums(ExecutionContext& ctx, Function f) const {
    Tensor sums = Tensor::Uninitialized(scales.shape());
    const int64_t count = sums.cols();
    const int64_t cols = static_cast<int64_t>(group_of_.size());
    ctx.device().pool().ParallelFor(sums.rows(), [&](int64_t r) {
      std::vector<double> row(static_cast<size_t>(count), 0.0);
      for (int64_t c = 0; c < cols; ++c) {
        row[static_cast<size_t>(group(c))] += f(r, c);
      }
      for (int64_t g = 0; g < count; ++g) {
        sums.row(r)[g] = static_cast<float>(row[static_cast<size_t>(g)]);
      }
    });
    return sums;
  }

  const Tensor scales;
  const Tensor zeros;

 private:
  int64_t groups_;
  const float* scale_data_;  // of `scales`
  const float* zero_data_;
  std::vector<int32_t> group_of_;
};

}  // namespace

// --- Rounding --------------------------------------------------------------

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
  Tensor y = Tensor::Uninitialized(x.shape());
  ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
    const float scale = at.scale(r, c);
    const float zero = at.zero(r, c);
    const float q =
        std::clamp(std::nearbyint(x.row(r)[c] / scale + zero), low, high);
    y.row(r)[c] = scale * (q - zero);
  });
  GradientTape* const tape = GradientTape::Of({&x, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y), [tape, to_x = tape->IdOf(x), to_scales = tape->IdOf(scales),
                     to_zeros = tape->IdOf(zeros), x = x.Untracked(), at, low,
                     high](const Tensor& dy) {
        ExecutionContext& ctx = tape->ctx();
        // The code before it is clipped.
        const auto unclipped = [&](int64_t r, int64_t c) {
          return std::nearbyint(x.row(r)[c] / at.scale(r, c) + at.zero(r, c));
        };
        const auto inside = [&](float q) { return q >= low && q <= high; };
        if (to_x != kUntracked) {
          Tensor dx = Tensor::Uninitialized(x.shape());
          ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
            dx.row(r)[c] = inside(unclipped(r, c)) ? dy.row(r)[c] : 0.0f;
          });
          tape->Add(to_x, std::move(dx));
        }
        if (to_scales != kUntracked) {
          tape->Add(to_scales, at.Sums(ctx, [&](int64_t r, int64_t c) {
            const float q = unclipped(r, c);
            const double zero = at.zero(r, c);
            const double slope = inside(q)
                                     ? q - zero - x.row(r)[c] / at.scale(r, c)
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

// --- Codes and values ------------------------------------------------------

Tensor ToCodeUnits(const Tensor& x, const Tensor& scales, const Tensor& zeros,
                   const ChannelGroups& groups, ExecutionContext& ctx) {
  const GroupReader at(scales, zeros, groups, x.cols());
  Tensor y = Tensor::Uninitialized(x.shape());
  ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
    y.row(r)[c] = x.row(r)[c] / at.scale(r, c) + at.zero(r, c);
  });
  GradientTape* const tape = GradientTape::Of({&x, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x), to_scales = tape->IdOf(scales),
       to_zeros = tape->IdOf(zeros), x = x.Untracked(), at](const Tensor& dy) {
        ExecutionContext& ctx = tape->ctx();
        if (to_x != kUntracked) {
          Tensor dx = Tensor::Uninitialized(x.shape());
          ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
            dx.row(r)[c] = dy.row(r)[c] / at.scale(r, c);
          });
          tape->Add(to_x, std::move(dx));
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
  Tensor y = Tensor::Uninitialized(codes.shape());
  ForEachInRows(codes.rows(), codes.cols(), ctx, [&](int64_t r, int64_t c) {
    y.row(r)[c] = at.scale(r, c) * (codes.row(r)[c] - at.zero(r, c));
  });
  GradientTape* const tape = GradientTape::Of({&codes, &scales, &zeros});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_codes = tape->IdOf(codes), to_scales = tape->IdOf(scales),
       to_zeros = tape->IdOf(zeros), codes = codes.Untracked(),
       at](const Tensor& dy) {
        ExecutionContext& ctx = tape->ctx();
        const int64_t cols = codes.cols();
        if (to_codes != kUntracked) {
          Tensor d = Tensor::Uninitialized(codes.shape());
          ForEachInRows(codes.rows(), cols, ctx, [&](int64_t r, int64_t c) {
            d.row(r)[c] = dy.row(r)[c] * at.scale(r, c);
          });
          tape->Add(to_codes, std::move(d));
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
    Tensor dx = Tensor::Uninitialized(shape);
    ForEachInRows(dx.rows(), dx.cols(), tape->ctx(), [&](int64_t r, int64_t c) {
      const int64_t g = group_of[static_cast<size_t>(c)];
      dx.row(r)[c] = counted.row(r)[c] * dy.row(r)[g] * shares.row(r)[g];
    });
    tape->Add(to_x, std::move(dx));
  });
}

Tensor GatherValues(const Tensor& values,
                    std::shared_ptr<const ValueIndices> indices, Shape shape,
                    ExecutionContext& ctx) {
  const float* const in = values.data();
  Tensor y = Elementwise(shape, ctx, [&](int64_t i) {
    float sum = 0;
    for (const std::vector<uint32_t>& list : *indices) {
      const uint32_t index = list[static_cast<size_t>(i)];
      if (index != kNoValue) sum += in[index];
    }
    return sum;
  });
  GradientTape* const tape = GradientTape::Of({&values});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_values = tape->IdOf(values), shape = values.shape(),
       indices = std::move(indices)](const Tensor& dy) {
        // One thread: the order of the sums is part of the result.
        std::vector<double> sums(static_cast<size_t>(ElementCount(shape)), 0.0);
        for (const std::vector<uint32_t>& list : *indices) {
          for (size_t i = 0; i < list.size(); ++i) {
            if (list[i] != kNoValue) sums[list[i]] += dy.data()[i];
          }
        }
        Tensor d = Tensor::Uninitialized(shape);
        for (size_t i = 0; i < sums.size(); ++i) {
          d.data()[i] = static_cast<float>(sums[i]);
        }
        tape->Add(to_values, std::move(d));
      });
}

Tensor ReplaceValues(const Tensor& x, const Tensor& values,
                     std::shared_ptr<const std::vector<uint64_t>> places,
                     ExecutionContext& ctx) {
  (void)ctx;
  Tensor y = x.Clone();
  for (size_t i = 0; i < places->size(); ++i) {
    y.data()[(*places)[i]] = values.data()[i];
  }
  GradientTape* const tape = GradientTape::Of({&x, &values});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x), to_values = tape->IdOf(values),
       shape = values.shape(), places = std::move(places)](const Tensor& dy) {
        if (to_values != kUntracked) {
          Tensor d = Tensor::Uninitialized(shape);
          for (size_t i = 0; i < places->size(); ++i) {
            d.data()[i] = dy.data()[(*places)[i]];
          }
          tape->Add(to_values, std::move(d));
        }
        if (to_x != kUntracked) {
          Tensor dx = dy.Clone();
          for (uint64_t place : *places) dx.data()[place] = 0;
          tape->Add(to_x, std::move(dx));
        }
      });
}

namespace {

Tensor ColumnsScaled(const Tensor& x, const Tensor& factors,
                     ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
    y.row(r)[c] = x.row(r)[c] * factors.data()[c];
  });
  return y;
}

Tensor RowsScaled(const Tensor& x, const Tensor& factors,
                  ExecutionContext& ctx) {
  Tensor y = Tensor::Uninitialized(x.shape());
  ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
    y.row(r)[c] = x.row(r)[c] * factors.data()[r];
  });
  return y;
}

}  // namespace

Tensor ScaleColumns(const Tensor& x, const Tensor& factors,
                    ExecutionContext& ctx) {
  Tensor y = ColumnsScaled(x, factors, ctx);
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y), [tape, to_x = tape->IdOf(x),
                     factors = factors.Untracked()](const Tensor& dy) {
        tape->Add(to_x, ColumnsScaled(dy, factors, tape->ctx()));
      });
}

Tensor ScaleRows(const Tensor& x, const Tensor& factors,
                 ExecutionContext& ctx) {
  Tensor y = RowsScaled(x, factors, ctx);
  GradientTape* const tape = GradientTape::Of({&x, &factors});
  if (tape == nullptr) return y;
  return tape->Record(
      std::move(y),
      [tape, to_x = tape->IdOf(x), to_factors = tape->IdOf(factors),
       x = x.Untracked(), factors = factors.Untracked()](const Tensor& dy) {
        ExecutionContext& ctx = tape->ctx();
        if (to_x != kUntracked) tape->Add(to_x, RowsScaled(dy, factors, ctx));
        if (to_factors == kUntracked) return;
        Tensor d = Tensor::Uninitialized(factors.shape());
        ctx.device().pool().ParallelFor(x.rows(), [&](int64_t r) {
          double sum = 0;
          for (int64_t c = 0; c < x.cols(); ++c) {
            sum += double{dy.row(r)[c]} * x.row(r)[c];
          }
          d.data()[r] = static_cast<float>(sum);
        });
        tape->Add(to_factors, std::move(d));
      });
}

Tensor Exp(const Tensor& x, ExecutionContext& ctx) {
  const float* const in = x.data();
  Tensor y =
      Elementwise(x.shape(), ctx, [in](int64_t i) { return std::exp(in[i]); });
  return RecordElementwise(
      y, x, [y = y.Untracked()](int64_t i) { return y.data()[i]; });
}

Tensor Divide(const Tensor& a, const Tensor& b, ExecutionContext& ctx) {
  const float* const over = a.data();
  const float* const under = b.data();
  Tensor y = Elementwise(a.shape(), ctx,
                         [=](int64_t i) { return over[i] / under[i]; });
  GradientTape* const tape = GradientTape::Of({&a, &b});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_a = tape->IdOf(a), to_b = tape->IdOf(b),
                          y = y.Untracked(),
                          b = b.Untracked()](const Tensor& dy) {
    const float* const d = dy.data();
    const float* const under = b.data();
    if (to_a != kUntracked) {
      tape->Add(to_a, Elementwise(dy.shape(), tape->ctx(),
                                  [=](int64_t i) { return d[i] / under[i]; }));
    }
    if (to_b != kUntracked) {
      const float* const quotient = y.data();
      tape->Add(to_b, Elementwise(dy.shape(), tape->ctx(), [=](int64_t i) {
                  return -d[i] * quotient[i] / under[i];
                }));
    }
  });
}

// --- Powers ----------------------------------------------------------------

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
  Tensor u = Tensor::Uninitialized(x.shape());
  ForEachInRows(x.rows(), x.cols(), ctx, [&](int64_t r, int64_t c) {
    const float v = x.row(r)[c];
    // Divided in float32, as grids do.
    const double power = std::pow(double{std::abs(v) / at.scale(r, c)}, a);
    u.row(r)[c] = static_cast<float>(std::copysign(power, v));
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
  Tensor y = Tensor::Uninitialized(u.shape());
  ForEachInRows(u.rows(), u.cols(), ctx, [&](int64_t r, int64_t c) {
    const float q = code(u.row(r)[c]);
    y.row(r)[c] = at.scale(r, c) * (*values)[static_cast<size_t>(q + half)];
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
      Tensor du = Tensor::Uninitialized(u.shape());
      ForEachInRows(u.rows(), u.cols(), ctx, [&](int64_t r, int64_t c) {
        const float units = u.row(r)[c];
        const float nearest = std::nearbyint(units);
        if (!(nearest >= -half && nearest <= top)) {
          du.row(r)[c] = 0;
          return;
        }
        const double size = std::max(std::abs(units), 0.5f) / top;
        du.row(r)[c] = static_cast<float>(dy.row(r)[c] * at.scale(r, c) *
                                          slope * std::pow(size, 1 / a - 1));
      });
      tape->Add(to_u, std::move(du));
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

// --- Choice ----------------------------------------------------------------

float MeanGap(const float* entries, int64_t count) {
  const auto [least, greatest] = std::minmax_element(entries, entries + count);
  const float gap = (*greatest - *least) / static_cast<float>(count - 1);
  return gap > 0 ? gap : 1.0f;
}

int64_t FirstGreatest(const float* logits, int64_t count) {
  int64_t best = 0;
  for (int64_t k = 1; k < count; ++k) {
    if (logits[k] > logits[best]) best = k;
  }
  return best;
}

namespace {

// The entries of a table next to each of them by value.
class Neighbours {
 public:
  static constexpr int64_t kNone = -1;

  Neighbours(const float* entries, int64_t count)
      : below_(static_cast<size_t>(count), kNone),
        above_(static_cast<size_t>(count), kNone) {
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(
        order.begin(), order.end(),
        [entries](int64_t a, int64_t b) { return entries[a] < entries[b]; });
    // [begin, end): a run of equal entries, of which the first stands for all.
    int64_t last = kNone;
    for (size_t begin = 0; begin < order.size();) {
      size_t end = begin;
      while (end < order.size() &&
             !(entries[order[begin]] < entries[order[end]])) {
        ++end;
      }
      const int64_t next = end < order.size() ? order[end] : kNone;
      for (size_t i = begin; i < end; ++i) {
        below_[static_cast<size_t>(order[i])] = last;
        above_[static_cast<size_t>(order[i])] = next;
      }
      last = order[begin];
      begin = end;
    }
  }

  int64_t below(int64_t entry) const {
    return below_[static_cast<size_t>(entry)];
  }
  int64_t above(int64_t entry) const {
    return above_[static_cast<size_t>(entry)];
  }

 private:
  std::vector<int64_t> below_, above_;
};

void AddProximal(const float* entries, int64_t taken, float d, float gap,
                 const Neighbours& neighbours, float* gradient) {
  for (const int64_t next :
       {neighbours.below(taken), neighbours.above(taken)}) {
    if (next == Neighbours::kNone) continue;
    const float step = entries[next] - entries[taken];
    gradient[next] =
        std::copysign(gap * gap / (std::abs(step) + gap), step) * d;
  }
}

void AddSoftmax(const float* logits, const float* entries, int64_t count,
                int64_t greatest, float d, float* gradient) {
  double sum = 0, mean = 0;
  for (int64_t k = 0; k < count; ++k) {
    const float p = std::exp(logits[k] - logits[greatest]);
    gradient[k] = p;
    sum += p;
    mean += double{p} * entries[k];
  }
  mean /= sum;
  for (int64_t k = 0; k < count; ++k) {
    gradient[k] =
        static_cast<float>(d * (gradient[k] / sum) * (entries[k] - mean));
  }
}

}  // namespace

Tensor SelectEntries(const Tensor& logits, const Tensor& table,
                     std::shared_ptr<const std::vector<int32_t>> table_of,
                     int64_t cols, ChoiceRule rule, ExecutionContext& ctx) {
  const int64_t rows = static_cast<int64_t>(table_of->size());
  const int64_t count = table.cols();
  auto taken =
      std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(rows * cols));
  Tensor y = Tensor::Uninitialized({rows, cols});
  ForEachInRows(rows, cols, ctx, [&](int64_t r, int64_t c) {
    const int64_t i = r * cols + c;
    const int64_t k = FirstGreatest(logits.row(i), count);
    (*taken)[static_cast<size_t>(i)] = static_cast<uint8_t>(k);
    y.data()[i] = table.row((*table_of)[static_cast<size_t>(r)])[k];
  });
  GradientTape* const tape = GradientTape::Of({&logits, &table});
  if (tape == nullptr) return y;
  return tape->Record(std::move(y), [tape, to_logits = tape->IdOf(logits),
                                     to_table = tape->IdOf(table),
                                     logits = logits.Untracked(),
                                     table = table.Untracked(), taken,
                                     table_of = std::move(table_of), rows, cols,
                                     count, rule](const Tensor& dy) {
    ExecutionContext& ctx = tape->ctx();
    if (to_logits != kUntracked) {
      Tensor d = Tensor::Zeros(logits.shape());
      ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
        const float* const entries =
            table.row((*table_of)[static_cast<size_t>(r)]);
        const float gap = MeanGap(entries, count);
        const Neighbours neighbours(entries, count);
        for (int64_t i = r * cols; i < (r + 1) * cols; ++i) {
          const int64_t k = (*taken)[static_cast<size_t>(i)];
          if (rule == ChoiceRule::kProximal) {
            AddProximal(entries, k, dy.data()[i], gap, neighbours, d.row(i));
          } else {
            AddSoftmax(logits.row(i), entries, count, k, dy.data()[i],
                       d.row(i));
          }
        }
      });
      tape->Add(to_logits, std::move(d));
    }
    if (to_table == kUntracked) return;
    // By row on all threads, then rows in their order.
    std::vector<double> by_row(static_cast<size_t>(rows * count), 0.0);
    ForEachInRows(rows, cols, ctx, [&](int64_t r, int64_t c) {
      const int64_t i = r * cols + c;
      const int64_t k = (*taken)[static_cast<size_t>(i)];
      by_row[static_cast<size_t>(r * count + k)] += dy.data()[i];
    });
    std::vector<double> sums(static_cast<size_t>(table.size()), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = (*table_of)[static_cast<size_t>(r)];
      for (int64_t k = 0; k < count; ++k) {
        sums[static_cast<size_t>(t * count + k)] +=
            by_row[static_cast<size_t>(r * count + k)];
      }
    }
    Tensor d = Tensor::Uninitialized(table.shape());
    for (size_t i = 0; i < sums.size(); ++i) {
      d.data()[i] = static_cast<float>(sums[i]);
    }
    tape->Add(to_table, std::move(d));
  });
}

}  // namespace ops
}  // namespace quantd
