// Operands as the operations of tensor/ops.h see them: some are left out, some
// are kept by the record of a tape (tensor/gradient_tape.h) until it runs.
// Internal to the operations.
#ifndef QUANTD_TENSOR_OPS_OPERANDS_H_
#define QUANTD_TENSOR_OPS_OPERANDS_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/tensor.h"

namespace quantd::ops {

// Where the gradient of an operand goes.
using Id = GradientTape::Id;
inline constexpr Id kUntracked = GradientTape::kUntracked;

// Null where the tensor is empty: an operand that is left out.
inline const float* DataOrNull(const Tensor& tensor) {
  return tensor.size() == 0 ? nullptr : tensor.data();
}

// What a record keeps of an operand that only the gradient of `other` needs.
inline Tensor KeptFor(Id other, const Tensor& operand) {
  return other != kUntracked ? operand.Untracked() : Tensor();
}

// What was summed in float64, as values and gradients are.
inline Tensor ToTensor(const std::vector<double>& sums, Shape shape) {
  Tensor t = Tensor::Uninitialized(std::move(shape));
  for (size_t i = 0; i < sums.size(); ++i) {
    t.data()[i] = static_cast<float>(sums[i]);
  }
  return t;
}

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_OPS_OPERANDS_H_
