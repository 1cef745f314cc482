#include "tensor/estimators.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/float_formats.h"
#include "tensor/gradient_tape.h"

namespace quantd::ops {
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
        group_of_(static_cast<size_t>(cols)) {
    // A division for every weight would take longer than all the rest.
    for (int64_t c = 0; c < cols; ++c) {
      group_of_[static_cast<size_t>(c)] = static_cast<int32_t>(groups.Of(c));
    }
  }

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

}  // namespace quantd::ops
