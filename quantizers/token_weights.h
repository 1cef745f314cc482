// How much each calibration token counts in a block's second moments
// (TokenWeighting in stage.h).
#ifndef QUANTD_QUANTIZERS_TOKEN_WEIGHTS_H_
#define QUANTD_QUANTIZERS_TOKEN_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "quantizers/stage.h"

namespace quantd {

// One weight per row of `hidden`, the block's inputs; with kAttention the block
// runs in the weights it has. Empty when the weighting is uniform: all one.
absl::StatusOr<std::vector<float>> ComputeTokenWeights(
    Block& block, const ActivationStore& hidden, int64_t window_tokens,
    const TokenWeighting& weighting, ExecutionContext& ctx);

// The importance of one window's tokens to weights: min-max to [least, 1], then
// mean 1. Equal importance gives exactly one for all.
std::vector<float> WeightsFromImportance(absl::Span<const double> importance,
                                         double least);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_TOKEN_WEIGHTS_H_
