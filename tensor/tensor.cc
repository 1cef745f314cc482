#include "tensor/tensor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/large_array.h"

namespace quantd {

std::string ShapeToString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

int64_t ElementCount(absl::Span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

Tensor Tensor::Uninitialized(Shape shape) {
  Tensor tensor;
  const int64_t count = ElementCount(shape);
  tensor.shape_ = std::move(shape);
  tensor.data_ = NewLargeArray<float>(static_cast<size_t>(count));
  return tensor;
}

Tensor Tensor::Zeros(Shape shape) {
  Tensor tensor = Uninitialized(std::move(shape));
  std::fill_n(tensor.data(), tensor.size(), 0.0f);
  return tensor;
}

Tensor Tensor::FromValues(Shape shape, absl::Span<const float> values) {
  Tensor tensor = Uninitialized(std::move(shape));
  std::copy_n(values.begin(), tensor.size(), tensor.data());
  return tensor;
}

Tensor Tensor::Clone() const {
  Tensor copy = Uninitialized(shape_);
  if (size() > 0) std::copy_n(data(), size(), copy.data());
  return copy;
}

Tensor Tensor::Reshaped(Shape shape) const {
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

Tensor Tensor::Rows(int64_t begin, int64_t count) const {
  Tensor view = Untracked();
  view.shape_ = {count, cols()};
  view.offset_ = offset_ + begin * cols();
  return view;
}

Tensor Tensor::Untracked() const {
  Tensor same = *this;
  same.SetTape(nullptr, 0);
  return same;
}

}  // namespace quantd
