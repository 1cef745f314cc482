// Every weight to the nearest value of its layer's grid: all that the baseline
// method does, and what calibrated methods do for layers without statistics.
//
// Free functions, thread-safe.
#ifndef QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_
#define QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"
#include "quantizers/outliers.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

// The grid of `item` under construction: of its plan, around its outliers.
// `item` outlives the result.
absl::StatusOr<std::unique_ptr<LayerGrid<float>>> NewLayerGridFor(
    const Grid& grid, const LayerWork& item);

// Fits every group of consecutive input channels of `weight` [rows, cols] to
// its values. `importance` [rows, cols] or null.
template <typename Real>
void FitAllGroups(int64_t rows, int64_t cols, const Real* weight,
                  const float* importance, LayerGrid<Real>& grid,
                  ExecutionContext& ctx);

// Prepares the grid, fits it to `item.weight` and rounds every weight; the
// result is `item.compressed`. `factor_diagonal` [cols]: U_jj for grids that
// use it (layer_grid.h), or empty.
absl::Status RoundToNearest(const Grid& grid,
                            absl::Span<const float> factor_diagonal,
                            LayerWork& item, ExecutionContext& ctx);

// RoundToNearest() for a layer that no calibration token reached, such as an
// expert that none was routed to: its weights matter to other texts, so they
// are kept as well as the grid allows. A note says so.
absl::Status RoundUnseen(const Grid& grid, LayerWork& item,
                         ExecutionContext& ctx);

// ||W - q(W)||^2 (Frobenius) of rounding `weight` to the grid of `plan`, for
// decisions over grids. Neither outliers nor importance.
absl::StatusOr<double> SquaredRoundingError(const Grid& grid,
                                            const GridPlan& plan,
                                            const Tensor& weight,
                                            ExecutionContext& ctx);

// What RoundToNearest() takes for a layer (stage.h).
StageCost RoundToNearestCost(const LinearShape& layer, const Grid& grid);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_
