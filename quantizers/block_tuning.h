// Block reconstruction: gradient descent on the parameters of the compressed
// layers of one block, so that the block's output, on the inputs that the
// compressed blocks before it make, comes near to what the original network has
// there (Li et al., BRECQ, arXiv:2102.05426, section 3.2).
//
//   loss = mean over tokens of sum over channels of (output - target)^2
//
// or another measure of the same two, and from the original network's inputs.
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
#include "quantd/v1/stages.pb.h"
#include "quantizers/block_reconstruction.h"
#include "quantizers/tuning_steps.h"
#include "tensor/optimizer.h"

namespace quantd {

struct BlockTuningOptions {
  OptimizerOptions optimizer;
  LearningRateSchedule schedule;  // its steps are those that are made
  int64_t batch_windows = 8;
  double gradient_limit = 0;  // 0: none
  uint64_t seed = 0;          // of the order of windows, and of mixing
  v1::TuneStage::Loss loss = v1::TuneStage::SQUARED;
  // BOTH: the sum of the losses from the inputs of either network.
  v1::TuneStage::Inputs inputs = v1::TuneStage::COMPRESSED;
  // Share of the windows x of a step that are lambda x + (1 - lambda) x' with
  // the next window x' in order and lambda uniform in [0, 1), their targets
  // likewise (Zhang et al., mixup, arXiv:1710.09412).
  double mixup = 0;
};

// A layer of the block and how it is tuned.
struct TunedLayer {
  Linear* layer = nullptr;
  std::unique_ptr<TunableLinear> tunable;
};

// What a block has to make of what.
struct BlockExamples {
  // [windows * window_tokens, hidden]: what enters the block, and what is to
  // leave it.
  const ActivationStore* inputs = nullptr;
  const ActivationStore* targets = nullptr;
  // What enters it in the original network; may be null where
  // BlockTuningOptions::inputs is COMPRESSED.
  const ActivationStore* original_inputs = nullptr;
  int64_t window_tokens = 0;
};

// Whatever is descended along, the report has squared errors from `inputs`,
// over all windows, and where they do not fall the layers are afterwards as
// they came. REQUIRES: every layer of `layers` is compressed. Cancelled soon
// after the context is cancelled; the layers are then of no use.
// InvalidArgument when the loss is not finite any more: names the step.
// The result is independent of the number of threads.
absl::StatusOr<BlockReport> TuneBlock(Block& block,
                                      std::vector<TunedLayer> layers,
                                      const BlockExamples& examples,
                                      const BlockTuningOptions& options,
                                      const OnTuningStep& on_step,
                                      ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BLOCK_TUNING_H_
