#include "quantizers/run_flows.h"

#include <memory>

#include "base/status_macros.h"

namespace quantd {

RunFlows::RunFlows(const Model& model, const CompiledRecipe& recipe,
                   const CalibrationWindows& windows,
                   const ActivationOptions& options,
                   const FinishedBlocks& finished, RunProgress& progress)
    : model_(model),
      recipe_(recipe),
      finished_(finished),
      progress_(progress),
      flow_(model, windows, ShareOf(options)),
      original_(model, windows, ShareOf(options)),
      original_inputs_(model, windows, ShareOf(options)) {}

bool RunFlows::wants_original_inputs() const {
  return recipe_.block_reconstruction() != nullptr &&
         recipe_.block_reconstruction()->wants_original_inputs();
}

ActivationOptions RunFlows::ShareOf(ActivationOptions options) const {
  const bool reconstructs = recipe_.block_reconstruction() != nullptr;
  options.memory_bytes /= 1u + reconstructs + wants_original_inputs();
  return options;
}

absl::Status RunFlows::Run(CalibrationFlow& flow, int k, Layers layers,
                           ExecutionContext& ctx) {
  if (flow.position() < 0) RETURN_IF_ERROR(flow.Start(ctx));
  while (flow.position() < k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int at = flow.position();
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_.LoadBlock(at, ctx));
    progress_.Block("resume", at, block->name());
    if (layers == Layers::kCompressed) {
      RETURN_IF_ERROR(finished_.LoadCompressed(at, *block, ctx));
    }
    RETURN_IF_ERROR(flow.Pass(*block, ctx));
  }
  return absl::OkStatus();
}

absl::Status RunFlows::Advance(int k, ExecutionContext& ctx) {
  return Run(flow_, k,
             recipe_.calibrates_on_original() ? Layers::kOriginal
                                              : Layers::kCompressed,
             ctx);
}

absl::Status RunFlows::AdvanceBoth(int k, Block& block, ExecutionContext& ctx) {
  RETURN_IF_ERROR(Advance(k, ctx));
  RETURN_IF_ERROR(Run(original_, k, Layers::kOriginal, ctx));
  if (wants_original_inputs()) {
    RETURN_IF_ERROR(original_inputs_.CopyFrom(original_));
  }
  return original_.Pass(block, ctx);
}

}  // namespace quantd
