// Values out of a table, and their factors.
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "tensor/estimators.h"
#include "tensor/estimators/elementwise.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

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
        tape->Add(to_values, ToTensor(sums, shape));
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
  return ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
    return x.row(r)[c] * factors.data()[c];
  });
}

Tensor RowsScaled(const Tensor& x, const Tensor& factors,
                  ExecutionContext& ctx) {
  return ElementwiseInRows(x.shape(), ctx, [&](int64_t r, int64_t c) {
    return x.row(r)[c] * factors.data()[r];
  });
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
