// Runs the calibration activations of a store through a block: to gather
// statistics for some of its layer sets, or to become the next block's inputs.
#ifndef QUANTD_QUANTIZERS_SET_STATISTICS_H_
#define QUANTD_QUANTIZERS_SET_STATISTICS_H_

#include <algorithm>
#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "quantizers/stage.h"

namespace quantd {

// Windows per pass through a block: enough rows for the products to run at
// full speed, few enough that the intermediates stay small. A function of the
// window alone, because the order of float32 sums in H depends on it.
inline int64_t CalibrationBatchWindows(int64_t window_tokens) {
  constexpr int64_t kBatchRows = 2048;
  return std::max<int64_t>(1, kBatchRows / window_tokens);
}

// `hidden` [windows * window_tokens, hidden]: inputs of the block. Returns what
// `request` asks for of sets first_set .. last_set; the block runs no further
// than the input of last_set. `token_weights` has the weight of every row of
// `hidden` in second moments (token_weights.h), or is empty: all count one.
// Inputs of which only some rows reach a layer (experts) count one.
absl::StatusOr<std::map<int, LayerStatistics>> GatherStatistics(
    Block& block, const ActivationStore& hidden, int64_t window_tokens,
    int first_set, int last_set, const StatisticsRequest& request,
    absl::Span<const float> token_weights, ExecutionContext& ctx);

// Replaces every window of `hidden` by what the block makes of it.
absl::Status RunBlock(Block& block, int64_t window_tokens,
                      ActivationStore* hidden, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_SET_STATISTICS_H_
