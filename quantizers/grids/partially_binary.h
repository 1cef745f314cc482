// The grid of PB-LLM (Shang et al., arXiv:2310.00034, post-training part):
// salient weights are 8-bit integers, the others one of two values. Kept as
// layout "partially-binary.v1".
//
// Which weights are salient is fixed before the first is quantized: of each
// group of input channels, over all rows, exactly round(fraction * weights)
// with the greatest metric, |w| or w_oj^2 / U_jj^2; of equals those that come
// first. U_jj^2 is the inverse second moment of the channels not yet quantized,
// not [H^-1]_jj as printed in the paper; the released code uses the same. Where
// a solver knows no U, the second moment's diagonal is in its place
// (1 / U_jj^2 = H_jj for uncorrelated inputs), and without that |w|.
//
// Salient weights: affine codes, asymmetric, one scale and zero point per row,
// fitted to all its weights. Others: mean +- alpha per row and group
// (binary_grid.h), fitted to them alone; the released code averages over the
// salient weights too, as zeros, which shrinks both.
#ifndef QUANTD_QUANTIZERS_GRIDS_PARTIALLY_BINARY_H_
#define QUANTD_QUANTIZERS_GRIDS_PARTIALLY_BINARY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/partially_binary.h"
#include "quantd/v1/grids.pb.h"
#include "quantizers/binary_grid.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"

namespace quantd {

enum class SalienceMetric { kMagnitude, kHessian };

struct PartiallyBinaryOptions {
  double salient_fraction = 0.1;
  SalienceMetric metric = SalienceMetric::kHessian;
  int salient_bits = 8;
  int64_t group_size = -1;  // -1: one group per output channel
  BinaryCenter center = BinaryCenter::kMean;

  int64_t GroupSizeFor(int64_t cols) const {
    return group_size < 0 ? cols : group_size;
  }
  // Salient weights of a layer, the same number in every group.
  int64_t SalientCount(int64_t rows, int64_t cols) const;
};

template <typename Real>
class PartiallyBinaryLayerGrid final : public LayerGrid<Real> {
 public:
  // REQUIRES: the group size divides `cols`.
  PartiallyBinaryLayerGrid(int64_t rows, int64_t cols,
                           const PartiallyBinaryOptions& options);

  absl::Status Prepare(const LayerView<Real>& layer,
                       ExecutionContext& ctx) override;
  int64_t group_size() const override { return weights_.group_size; }
  void FitGroup(const GroupValues<Real>& group) override;
  void Quantize(const Patch<Real>& patch) override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

  // Mask, codes and parameters so far.
  const PartiallyBinaryWeights& weights() const { return weights_; }

 private:
  void ChooseSalient(const LayerView<Real>& layer, ExecutionContext& ctx);

  const PartiallyBinaryOptions options_;
  PartiallyBinaryWeights weights_;
};

std::unique_ptr<Grid> NewPartiallyBinaryGrid(
    const v1::PartiallyBinaryGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_PARTIALLY_BINARY_H_
