// The uniform integer grid (affine_grid.h has its formulas), kept as layout
// "packed-int.v1".
#ifndef QUANTD_QUANTIZERS_GRIDS_AFFINE_H_
#define QUANTD_QUANTIZERS_GRIDS_AFFINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/packed_int.h"
#include "quantd/v1/recipe.pb.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"

namespace quantd {

template <typename Real>
class AffineLayerGrid final : public LayerGrid<Real> {
 public:
  // REQUIRES: the group size divides `cols`.
  AffineLayerGrid(int64_t rows, int64_t cols, const AffineGridOptions& options);

  int64_t group_size() const override { return weights_.group_size; }
  void FitGroup(const GroupValues<Real>& group) override;
  void Quantize(const Patch<Real>& patch) override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

  // Codes and grids so far.
  const PackedIntWeights& weights() const { return weights_; }

 private:
  const AffineGridOptions options_;
  PackedIntWeights weights_;
};

std::unique_ptr<Grid> NewAffineGrid(const v1::AffineGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_AFFINE_H_
