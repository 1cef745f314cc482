// Columns and rows of other tensors, taken and put side by side.
#include <algorithm>
#include <utility>
#include <vector>

#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tensor/ops/operands.h"

namespace quantd::ops {

Tensor Columns(const Tensor& x, int64_t begin, int64_t count) {
  return GatherColumns(x, {{begin, count}});
}

Tensor GatherColumns(const Tensor& x, absl::Span<const ColumnRange> ranges) {
  int64_t cols = 0;
  for (const ColumnRange& range : ranges) cols += range.count;
  Tensor y = Tensor::Uninitialized({x.rows(), cols});
  for (int64_t r = 0; r < x.rows(); ++r) {
    float* target = y.row(r);
    for (const ColumnRange& range : ranges) {
      target = std::copy_n(x.row(r) + range.begin, range.count, target);
    }
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), shape = x.shape(),
                          ranges = std::vector<ColumnRange>(
                              ranges.begin(), ranges.end())](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(shape);
    for (int64_t r = 0; r < dx.rows(); ++r) {
      const float* source = dy.row(r);
      for (const ColumnRange& range : ranges) {
        float* target = dx.row(r) + range.begin;
        for (int64_t c = 0; c < range.count; ++c) target[c] += *source++;
      }
    }
    tape->Add(to_x, std::move(dx));
  });
}

Tensor ConcatenateColumns(absl::Span<const Tensor> parts) {
  int64_t cols = 0;
  for (const Tensor& part : parts) cols += part.cols();
  Tensor y = Tensor::Uninitialized({parts[0].rows(), cols});
  std::vector<ColumnRange> ranges;
  GradientTape* tape = nullptr;
  std::vector<Id> ids;
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    for (int64_t r = 0; r < y.rows(); ++r) {
      std::copy_n(part.row(r), part.cols(), y.row(r) + begin);
    }
    ranges.push_back({begin, part.cols()});
    begin += part.cols();
    if (part.tape() != nullptr) tape = part.tape();
  }
  if (tape == nullptr) return y;
  for (const Tensor& part : parts) ids.push_back(tape->IdOf(part));
  return tape->Record(y, [tape, ids, ranges](const Tensor& dy) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kUntracked) continue;
      tape->Add(ids[i], GatherColumns(dy, {ranges[i]}));
    }
  });
}

Tensor GatherRows(const Tensor& x, absl::Span<const int64_t> rows) {
  Tensor y =
      Tensor::Uninitialized({static_cast<int64_t>(rows.size()), x.cols()});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(rows[i]), x.cols(), y.row(static_cast<int64_t>(i)));
  }
  GradientTape* const tape = GradientTape::Of({&x});
  if (tape == nullptr) return y;
  return tape->Record(y, [tape, to_x = tape->IdOf(x), shape = x.shape(),
                          rows = std::vector<int64_t>(
                              rows.begin(), rows.end())](const Tensor& dy) {
    Tensor dx = Tensor::Zeros(shape);
    for (size_t i = 0; i < rows.size(); ++i) {
      const float* source = dy.row(static_cast<int64_t>(i));
      float* target = dx.row(rows[i]);
      for (int64_t c = 0; c < dx.cols(); ++c) target[c] += source[c];
    }
    tape->Add(to_x, std::move(dx));
  });
}

}  // namespace quantd::ops
