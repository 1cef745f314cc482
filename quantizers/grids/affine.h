// The uniform integer grid (affine_grid.h has its formulas), kept as layout
// "packed-int.v1", or as "mixed-int.v1" where a plan gives groups of input
// channels different bits. Groups of 1 bit are mean +- alpha (binary_grid.h).
//
// With the salience search, a weight is salient when s = w^2 / U_jj^2 exceeds
// mean + sigma * standard deviation of s over all rows of its group's input
// channels. Mean and deviation are those of the original weights, w is the
// weight that is quantized. Where U is not known it counts as 1.
#ifndef QUANTD_QUANTIZERS_GRIDS_AFFINE_H_
#define QUANTD_QUANTIZERS_GRIDS_AFFINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/packed_int.h"
#include "quantd/v1/grids.pb.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"

namespace quantd {

template <typename Real>
class AffineLayerGrid final : public LayerGrid<Real> {
 public:
  // `group_bits`, if not empty, are the bits of every group, [groups] or [rows,
  // groups], over those of
  // `options`. REQUIRES: the group size divides `cols`; bits are in 1..8.
  AffineLayerGrid(int64_t rows, int64_t cols, const AffineGridOptions& options,
                  std::vector<uint8_t> group_bits = {});

  absl::Status Prepare(const LayerView<Real>& layer,
                       ExecutionContext& ctx) override;
  int64_t group_size() const override { return weights_.group_size; }
  void FitGroup(const GroupValues<Real>& group) override;
  void Quantize(const Patch<Real>& patch) override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

  // Codes and grids so far. Where a group has 1 bit, its alpha is in place of
  // the scale.
  const PackedIntWeights& weights() const { return weights_; }

 private:
  int bits_of(int64_t row, int64_t group) const {
    if (group_bits_.empty()) return options_.bits;
    const bool by_row =
        static_cast<int64_t>(group_bits_.size()) != weights_.groups();
    return group_bits_[static_cast<size_t>(
        by_row ? row * weights_.groups() + group : group)];
  }
  // `importance` of the group with the salient weights counted more.
  std::vector<Real> SalientImportance(const GroupValues<Real>& group) const;

  AffineGridOptions options_;
  std::vector<uint8_t> group_bits_;  // empty: all of options_.bits
  PackedIntWeights weights_;
  std::vector<float> means_;  // [rows, groups]; empty without groups of 1 bit
  // What the salience search knows of each input channel: 1 / U_jj^2, and the
  // means over rows of s and s^2.
  std::vector<double> inverse_variance_;
  std::vector<double> salience_;
  std::vector<double> salience_square_;
};

std::unique_ptr<Grid> NewAffineGrid(const v1::AffineGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_AFFINE_H_
