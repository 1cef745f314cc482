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
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "models/tunable_linear.h"
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

struct BlockTuningOutcome {
  // Over all windows: of the layers as they came, and as they were frozen.
  double loss_before = 0;
  double loss_after = 0;
  // Whether the loss fell. If not, the layers are as they came.
  bool kept = false;
};

struct TuningStep {
  int64_t step = 0;  // that was made, from 0
  double loss = 0;   // of its windows, without penalties
  double learning_rate = 0;
};

// `inputs` and `targets` [windows * window_tokens, hidden]: what enters the
// block and what is to leave it. REQUIRES: every layer of `layers` is
// compressed. Calls `progress`, which may be empty, after every step. Returns
// Cancelled soon after the context is cancelled; the layers are then of no use.
// InvalidArgument when the loss is not finite any more: names the step.
// The result is independent of the number of threads.
absl::StatusOr<BlockTuningOutcome> TuneBlock(
    Block& block, std::vector<TunedLayer> layers, const ActivationStore& inputs,
    const ActivationStore& targets, int64_t window_tokens,
    const BlockTuningOptions& options,
    const std::function<void(const TuningStep&)>& progress,
    ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BLOCK_TUNING_H_
