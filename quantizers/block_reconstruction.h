// What a stage does to a block when all of its layers are compressed: it sees
// the block whole, what enters it and what should leave it. Stages that do so
// return one from Stage::block_reconstruction(); at most one does in a recipe.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_QUANTIZERS_BLOCK_RECONSTRUCTION_H_
#define QUANTD_QUANTIZERS_BLOCK_RECONSTRUCTION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "models/model_description.h"
#include "quantizers/tuning_steps.h"
#include "tensor/tensor.h"

namespace quantd {

struct BlockToReconstruct {
  // Computes with its compressed layers.
  Block* block = nullptr;
  int index = 0;
  // The float32 weights of the layers that were compressed, by layer name.
  const std::map<std::string, Tensor>* originals = nullptr;
  // [windows * window_tokens, hidden]: what the compressed blocks before this
  // one make of the calibration windows, and what the original network has
  // behind this block.
  const ActivationStore* inputs = nullptr;
  const ActivationStore* targets = nullptr;
  // What enters the block in the original network, where it is wanted.
  const ActivationStore* original_inputs = nullptr;
  int64_t window_tokens = 0;
};

// The error of a block's output: mean over tokens of the sum over channels of
// squares, over all windows.
struct BlockReport {
  std::string block;
  double loss_before = 0;
  double loss_after = 0;  // of what was learned
  bool kept = false;      // it was better than what it began with
};

// What reconstruction takes for one block.
struct ReconstructionCost {
  uint64_t working_bytes = 0;  // beside the block in float32
  double product_flops = 0;
};

class BlockReconstruction {
 public:
  virtual ~BlockReconstruction() = default;

  // `windows` of `window_tokens` tokens.
  virtual ReconstructionCost Cost(const ModelDescription& model,
                                  int64_t windows,
                                  int64_t window_tokens) const = 0;

  // Whether BlockToReconstruct::original_inputs is.
  virtual bool wants_original_inputs() const { return false; }

  // Changes the block's compressed layers in place. `progress` gets every step
  // and their number. Cancelled soon after the context is cancelled; the block
  // is then of no use.
  using Progress = std::function<void(const TuningStep& made, int64_t steps)>;
  virtual absl::StatusOr<BlockReport> Reconstruct(
      const BlockToReconstruct& task, const Progress& progress,
      ExecutionContext& ctx) const = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_BLOCK_RECONSTRUCTION_H_
