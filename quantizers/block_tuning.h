// Block reconstruction: gradient descent on the parameters of the compressed
// layers of one block, so that the block's output, on the inputs that the
// compressed blocks before it make, comes near to what the original network has
// there (Li et al., BRECQ, arXiv:2102.05426, section 3.2).
//
//   loss = mean over tokens of sum over channels of (output - target)^2
//
// What is learned is up to the layers (models/tunable_linear.h).
#ifndef QUANTD_QUANTIZERS_BLOCK_TUNING_H_
#define QUANTD_QUANTIZERS_BLOCK_TUNING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "models/tunable_linear.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/tuning_steps.h"
#include "tensor/optimizer.h"

namespace quantd {

struct BlockTuningOptions {
  OptimizerOptions optimizer;
  LearningRateSchedule schedule;  // its steps are those that are made
  int64_t batch_windows = 8;
  double gradient_limit = 0;  // 0: none
  uint64_t seed = 0;          // of the order of windows
};

// A layer of the block and how it is tuned.
struct TunedLayer {
  Linear* layer = nullptr;
  std::unique_ptr<TunableLinear> tunable;
};

// `inputs` and `targets` [windows * window_tokens, hidden]: what enters the
// block and what is to leave it. REQUIRES: every layer of `layers` is
// compressed. Where the loss over all windows does not fall the layers are
// afterwards as they came. Cancelled soon after the context is cancelled; the
// layers are then of no use.
// InvalidArgument when the loss is not finite any more: names the step.
// The result is independent of the number of threads.
absl::StatusOr<BlockReport> TuneBlock(
    Block& block, std::vector<TunedLayer> layers, const ActivationStore& inputs,
    const ActivationStore& targets, int64_t window_tokens,
    const BlockTuningOptions& options, const OnTuningStep& on_step,
    ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BLOCK_TUNING_H_
