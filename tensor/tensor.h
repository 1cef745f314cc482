// Tensor: a dense, row-major array of float32 with a shape. Copies share the
// storage; Clone() copies the numbers. All computation is in float32 (stored
// checkpoints hold other types, see models/checkpoint.h); operations are free
// functions in tensor/ops.h.
//
//   Tensor x = Tensor::Zeros({rows, cols});
//   x.row(3)[0] = 1.0f;
//
// Thread-compatible.
#ifndef QUANTD_TENSOR_TENSOR_H_
#define QUANTD_TENSOR_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace quantd {

using Shape = std::vector<int64_t>;

// "[2, 24, 256]"
std::string ShapeToString(absl::Span<const int64_t> shape);

// Product of the extents; 1 for a scalar. REQUIRES: extents >= 0 whose
// product fits.
int64_t ElementCount(absl::Span<const int64_t> shape);

class GradientTape;

class Tensor {
 public:
  // An empty tensor of shape [0].
  Tensor() : shape_{0} {}

  // Uninitialised: every element is written before it is read.
  static Tensor Uninitialized(Shape shape);
  static Tensor Zeros(Shape shape);
  static Tensor FromValues(Shape shape, absl::Span<const float> values);

  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t dim(int axis) const { return shape_[static_cast<size_t>(axis)]; }
  int64_t size() const { return ElementCount(shape_); }

  // The tensor seen as a matrix: all axes but the last are rows.
  int64_t cols() const { return shape_.empty() ? 1 : shape_.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : size() / cols(); }

  float* data() { return data_.get() + offset_; }
  const float* data() const { return data_.get() + offset_; }
  absl::Span<float> values() { return {data(), static_cast<size_t>(size())}; }
  absl::Span<const float> values() const {
    return {data(), static_cast<size_t>(size())};
  }
  float* row(int64_t r) { return data() + r * cols(); }
  const float* row(int64_t r) const { return data() + r * cols(); }

  // Copies the numbers; the copy is not tracked.
  Tensor Clone() const;

  // The same storage under another shape, tracked as this one is.
  // REQUIRES: equal element counts.
  Tensor Reshaped(Shape shape) const;

  // Rows [begin, begin + count) of the matrix view, sharing storage.
  // REQUIRES: not tracked (ops::GatherRows is differentiable).
  Tensor Rows(int64_t begin, int64_t count) const;

  // The tape that records what is computed from this tensor, and its place
  // there (tensor/gradient_tape.h). Null: none, as everywhere in inference.
  GradientTape* tape() const { return tape_; }
  int64_t tape_index() const { return tape_index_; }
  void SetTape(GradientTape* tape, int64_t index) {
    tape_ = tape;
    tape_index_ = index;
  }

  // The same storage, not tracked: gradients stop here.
  Tensor Untracked() const;

 private:
  Shape shape_;
  std::shared_ptr<float[]> data_;
  int64_t offset_ = 0;
  GradientTape* tape_ = nullptr;
  int64_t tape_index_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_TENSOR_TENSOR_H_
