// GroupReader: the scales and zero points of a weight by its rows and columns.
// Internal to the estimators.
#ifndef QUANTD_TENSOR_ESTIMATORS_GROUP_READER_H_
#define QUANTD_TENSOR_ESTIMATORS_GROUP_READER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/execution_context.h"
#include "tensor/channel_groups.h"
#include "tensor/tensor.h"

namespace quantd::ops {

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

}  // namespace quantd::ops

#endif  // QUANTD_TENSOR_ESTIMATORS_GROUP_READER_H_
