// RunFlows: the calibration windows of a recipe run on their way through the
// network, once or, where blocks are reconstructed, also through the original
// (calibration_flow.h). Brings them in front of the block at work, through
// blocks that an earlier attempt finished where need be.
//
// Confined to one thread.
#ifndef QUANTD_QUANTIZERS_RUN_FLOWS_H_
#define QUANTD_QUANTIZERS_RUN_FLOWS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "quantizers/calibration.h"
#include "quantizers/calibration_flow.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/finished_blocks.h"
#include "quantizers/run_progress.h"

namespace quantd {

class RunFlows {
 public:
  // All but `options`, which holds for all flows together, outlive the object.
  RunFlows(const Model& model, const CompiledRecipe& recipe,
           const CalibrationWindows& windows, const ActivationOptions& options,
           const FinishedBlocks& finished, RunProgress& progress);

  // Brings the windows in front of block k.
  absl::Status Advance(int k, ExecutionContext& ctx);

  // Brings the windows of the original network behind block k, which is
  // `block`, and those of the compressed one in front of it.
  absl::Status AdvanceBoth(int k, Block& block, ExecutionContext& ctx);

  // Of the compressed network, or of the original where the recipe calibrates
  // on it.
  CalibrationFlow& flow() { return flow_; }
  // What the original makes of block k, and in front of it if the recipe's
  // reconstruction wants that, else null. REQUIRES: AdvanceBoth() was OK.
  const ActivationStore& original_outputs() const { return original_.hidden(); }
  const ActivationStore* original_inputs() const {
    return wants_original_inputs() ? &original_inputs_.hidden() : nullptr;
  }

  uint64_t spilled_bytes() const {
    return flow_.spilled_bytes() + original_.spilled_bytes() +
           original_inputs_.spilled_bytes();
  }

 private:
  bool wants_original_inputs() const;
  ActivationOptions ShareOf(ActivationOptions options) const;
  // Runs `flow` up to block k through blocks that are finished, with their
  // compressed layers on them or as they were.
  enum class Layers { kOriginal, kCompressed };
  absl::Status Run(CalibrationFlow& flow, int k, Layers layers,
                   ExecutionContext& ctx);

  const Model& model_;
  const CompiledRecipe& recipe_;
  const FinishedBlocks& finished_;
  RunProgress& progress_;
  CalibrationFlow flow_;
  // Of the original network, where blocks are reconstructed.
  CalibrationFlow original_;
  CalibrationFlow original_inputs_;  // in front of the block at work
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RUN_FLOWS_H_
