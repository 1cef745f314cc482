// Gathers statistics for some layer sets of one block by running calibration
// activations through it.
#ifndef QUANTD_QUANTIZERS_SET_STATISTICS_H_
#define QUANTD_QUANTIZERS_SET_STATISTICS_H_

#include <map>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

// `hidden` [windows * window_tokens, hidden]: inputs of the block. Returns the
// statistics of sets first_set .. last_set; the block runs no further than the
// input of last_set.
absl::StatusOr<std::map<int, LayerStatistics>> GatherStatistics(
    Block& block, const Tensor& hidden, int64_t window_tokens, int first_set,
    int last_set, ExecutionContext& ctx);

// hidden through the block, in batches.
absl::StatusOr<Tensor> RunBlock(Block& block, const Tensor& hidden,
                                int64_t window_tokens, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_SET_STATISTICS_H_
