// Every weight to the nearest point of its group's grid: all that the baseline
// method does, and what calibrated methods do for layers without statistics.
//
// Free function, thread-safe.
#ifndef QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_
#define QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_

#include "kernels/execution_context.h"
#include "models/layouts/packed_int.h"
#include "quantizers/affine_grid.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

// `weight` [out, in]. REQUIRES: the group size divides the input size.
PackedIntWeights RoundToNearest(const Tensor& weight,
                                const AffineGridOptions& options,
                                ExecutionContext& ctx);

// What that takes for a layer (stage.h).
StageCost RoundToNearestCost(const LinearShape& layer,
                             const AffineGridOptions& options);

// Codes, scales and zeros of the right sizes and unspecified values, for a
// layer of `rows` x `cols` on the grid.
PackedIntWeights NewPackedIntWeights(int64_t rows, int64_t cols,
                                     const AffineGridOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_ROUND_TO_NEAREST_H_
