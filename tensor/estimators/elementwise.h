// Loops over the elements of a tensor on all threads, and records of what is a
// function of single elements. Internal to the estimators.
#ifndef QUANTD_TENSOR_ESTIMATORS_ELEMENTWISE_H_
#define QUANTD_TENSOR_ESTIMATORS_ELEMENTWISE_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/execution_context.h"
#include "tensor/gradient_tape.h"
#include "tensor/tensor.h"

namespace quantd::ops {

// Elements that one task of ParallelFor takes: enough to be worth handing over.
inline constexpr int64_t kElementsPerTask = 16384;

// y[i] = f(i) for all elements.
template <typename Function>
Tensor Elementwise(const Shape& shape, ExecutionContext& ctx, Function f) {
  Tensor y = Tensor::Uninitialized(shape);
  const int64_t size = y.size();
  float* const out = y.data();
  ctx.device().pool().ParallelFor(
      (size + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t task) {
        const int64_t begin = task * kElementsPerTask;
        const int64_t end = std::min(begin + kElementsPerTask, size);
        for (int64_t i = begin; i < end; ++i) {
          out[i] = f(i);
        }
      });
  return y;
}

// f(r, c) for all elements of a matrix.
template <typename Function>
void ForEachInRows(int64_t rows, int64_t cols, ExecutionContext& ctx,
                   Function f) {
  ctx.device().pool().ParallelFor(rows, [&](int64_t r) {
    for (int64_t c = 0; c < cols; ++c) f(r, c);
  });
}

// y[r, c] = f(r, c) for all elements.
template <typename Function>
Tensor ElementwiseInRows(const Shape& shape, ExecutionContext& ctx,
                         Function f) {
  Tensor y = Tensor::Uninitialized(shape);
  const int64_t cols = y.cols();
  float* const out = y.data();
  ForEachInRows(y.rows(), cols, ctx,
                [&](int64_t r, int64_t c) { out[r * cols + c] = f(r, c); });
  return y;
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

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_ESTIMATORS_ELEMENTWISE_H_
